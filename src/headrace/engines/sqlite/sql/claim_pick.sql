select json_group_array(seq order by rank, seq), max(rank) from (
  select seq, rank from headrace_ready where queue = ? order by rank, seq limit ?
)
