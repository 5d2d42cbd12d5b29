insert into headrace.finished (seq, state, attempt, finished_at, kept_until, cause, failure)
select s, state, a, $2::float8, $2::float8 + k, c, f
from json_to_recordset($1::text::json)
  as given (s bigint, state text, a integer, k float8, c text, f text)
