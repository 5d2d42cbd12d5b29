select json_group_array(seq) from (
  select seq from headrace_ready where queue = ? order by rank, seq limit ?
)
