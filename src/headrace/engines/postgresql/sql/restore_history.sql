insert into headrace.history (seq, step, number, ended_at, counted, failure)
select s, step, n, at, c, f
from json_to_recordset($1::text::json)
  as given (s bigint, step integer, n integer, at float8, c boolean, f text)
