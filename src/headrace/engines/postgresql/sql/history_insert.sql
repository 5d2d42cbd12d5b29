insert into headrace.history (seq, step, number, ended_at, counted, failure)
select given.s,
  coalesce((select max(step) from headrace.history past where past.seq = given.s), 0) + 1,
  given.n, $2::float8, given.c, given.f
from json_to_recordset($1::text::json) as given (s bigint, n integer, c boolean, f text)
