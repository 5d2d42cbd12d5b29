delete from headrace.front using json_to_recordset($1::text::json) as gone (q integer, k text)
where front.queue = any (array[gone.q]) and front.order_key = gone.k
