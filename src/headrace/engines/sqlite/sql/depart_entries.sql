-- Nothing while a job lives that might still write some; ?3 and ?4 are the first and the end of the
-- names that stay.
select key, value, version, expires from (
  select *, sum(weight) over (order by key) as weight_so_far, row_number() over (order by key) as nth
  from (
    select key, value, version, expires, octet_length(value) as weight from headrace_entry
    where (key < ?3 or key >= ?4) and not exists (select 1 from headrace_queue where depth > 0)
    order by key limit ?1
  )
) where weight_so_far <= ?2 or nth = 1
