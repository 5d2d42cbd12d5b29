-- Makes what is not there, and locks all, in one order for everybody.
insert into headrace.front (queue, order_key)
select wanted.q, wanted.k from json_to_recordset($1::text::json) as wanted (q integer, k text)
order by wanted.q, wanted.k collate "C"
on conflict (queue, order_key) do update set seq = front.seq
