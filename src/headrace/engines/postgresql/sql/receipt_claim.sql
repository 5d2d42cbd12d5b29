-- Answers with a row if the transaction was not committed: then it never will be. Such a denial has
-- a mark, so that whoever finds it again, as the answer was lost, takes it for no proof.
with claimed as (
  insert into headrace.receipt as known (nonce, written_at)
  values ($1::text::uuid, -1)
  on conflict (nonce) do update set written_at = known.written_at
  returning known.written_at < 0 as denied
)
select 1 from claimed where denied
