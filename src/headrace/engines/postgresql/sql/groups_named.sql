select queue.id, wanted.k
from json_to_recordset($1::text::json) as wanted (q text, k text)
join headrace.queue queue on queue.name = wanted.q
