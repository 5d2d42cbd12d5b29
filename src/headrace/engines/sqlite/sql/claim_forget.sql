delete from headrace_ready
where queue = ?1 and (rank, seq) <= (
  select rank, seq from headrace_ready where queue = ?1 order by rank, seq limit 1 offset ?2 - 1
)
