select json_group_array(seq) from (
  select seq from headrace_expiry
  where expires <= ? and seq not in (select seq from headrace_running)
  order by expires limit 1000
)
