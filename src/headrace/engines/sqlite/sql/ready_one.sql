insert into headrace_ready (queue, rank, seq) values (?, ?, ?) on conflict do nothing
