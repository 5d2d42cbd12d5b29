insert into headrace_queue (name, drained_from) values (?, ?) on conflict do nothing
