delete from headrace.finished where seq = any (array(
  select seq from headrace.finished where kept_until <= $1::float8
  order by kept_until limit $2::integer
  for update skip locked
))
returning seq
