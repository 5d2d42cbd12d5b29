select json_group_array(seq order by rank, seq), max(rank), coalesce(sum(size), 0) from (
  select ready.seq, ready.rank, job.size
  from headrace_ready ready cross join headrace_job job on job.seq = ready.seq
  where ready.queue = ? order by ready.rank, ready.seq limit ?
)
