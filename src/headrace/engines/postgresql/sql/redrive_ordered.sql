insert into headrace.ordered (seq, queue, order_key, skip)
select s, q, k, w
from json_to_recordset($1::text::json) as given (s bigint, q integer, k text, w boolean)
