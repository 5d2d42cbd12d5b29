update headrace.job set envelope = given.e, priority = coalesce($2::integer, job.priority)
from json_to_recordset($1::text::json) as given (s bigint, e text)
where job.seq = given.s
