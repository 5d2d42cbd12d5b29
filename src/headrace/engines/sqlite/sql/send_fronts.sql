insert into headrace_front (queue, order_key, seq)
select queue, order_key, first from (
  -- "not indexed" keeps to the new rows: the index would serve the grouping, but by way of all.
  select queue, order_key, min(seq) as first from headrace_ordered not indexed where seq > ?1
  group by queue, order_key
) fresh
where first not in (select seq from headrace_scheduled)
  and not exists (
    select 1 from headrace_ordered older
    where older.queue = fresh.queue and older.order_key = fresh.order_key and older.seq <= ?1
  )
