insert into headrace.scheduled (seq, run_at)
select s, r from json_to_recordset($1::text::json) as given (s bigint, r float8)
