-- What only matters while jobs live.
with ordered as (
  delete from headrace.ordered where seq = any ((select $1::text::bigint[])::bigint[])
),
expiring as (
  delete from headrace.expiry where seq = any ((select $1::text::bigint[])::bigint[])
),
asked as (
  delete from headrace.cancelling where seq = any ((select $1::text::bigint[])::bigint[])
)
delete from headrace.unique_key using headrace.job job
where job.seq = any ((select $1::text::bigint[])::bigint[])
  and unique_key.id = any (array[job.id])
