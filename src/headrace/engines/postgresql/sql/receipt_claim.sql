insert into headrace.receipt (nonce, written_at)
values ($1::text::uuid, extract(epoch from clock_timestamp()))
on conflict do nothing returning 1
