delete from headrace.scheduled where seq = any (array(
  select seq from headrace.scheduled
  where seq = any ((select $1::text::bigint[])::bigint[]) and run_at <= $2::float8
  order by seq for update skip locked
))
returning seq
