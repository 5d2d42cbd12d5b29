delete from headrace_ready where queue = ? and (rank, seq) <= (?, ?)
