with tagged as (
  delete from headrace.tag
  using (
    select seq, unnest(tags) as tag from headrace.job
    where seq = any ((select $1::text::bigint[])::bigint[])
  ) worn
  where tag.tag = any (array[worn.tag]) and tag.seq = worn.seq
),
past as (
  delete from headrace.history where seq = any ((select $1::text::bigint[])::bigint[])
),
counted as (
  delete from headrace.tally where seq = any ((select $1::text::bigint[])::bigint[])
),
asked as (
  delete from headrace.cancelling where seq = any ((select $1::text::bigint[])::bigint[])
)
delete from headrace.job where seq = any ((select $1::text::bigint[])::bigint[])
