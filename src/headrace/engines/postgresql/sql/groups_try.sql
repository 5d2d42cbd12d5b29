-- Locks those groups that nobody else has locked, and waits for none.
select front.queue, front.order_key
from json_to_recordset($1::text::json) as wanted (q integer, k text)
join headrace.front front on front.queue = wanted.q and front.order_key = wanted.k
order by front.queue, front.order_key
for update of front skip locked
