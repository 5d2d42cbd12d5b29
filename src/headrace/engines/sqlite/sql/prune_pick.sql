select json_group_array(seq) from (
  select seq from headrace_finished where kept_until <= ? order by kept_until limit ?
)
