insert into headrace_front (queue, order_key, seq)
select queue, order_key, first from (
  select queue, order_key, min(seq) as first from headrace_ordered where seq > ?1
  group by queue, order_key
) fresh
where first not in (select seq from headrace_scheduled)
  and not exists (
    select 1 from headrace_ordered older
    where older.queue = fresh.queue and older.order_key = fresh.order_key and older.seq <= ?1
  )
