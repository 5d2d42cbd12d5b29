insert into headrace_cancelling (seq, reason) values (?, ?) on conflict do nothing
