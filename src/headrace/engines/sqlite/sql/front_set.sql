insert into headrace_front (queue, order_key, seq) values (?1, ?2, ?3)
on conflict (queue, order_key) do update set seq = ?3
