select json_group_array(seq) from (
  select seq from headrace_scheduled where run_at <= ? order by run_at limit 1000
)
