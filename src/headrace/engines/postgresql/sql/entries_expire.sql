with gone as (
  delete from headrace.entry where key = any (array(
    select key from headrace.entry where expires <= $1::float8 limit $2::integer
    for update skip locked
  ))
  returning 1
)
select count(*) from gone
