insert into headrace.receipt as known (nonce, written_at)
values ($1::text::uuid, -1)
on conflict (nonce) do update set written_at = known.written_at
returning known.written_at < 0
