insert into headrace.tally (seq, attempts, lost)
select s, a, l from json_to_recordset($1::text::json) as given (s bigint, a integer, l integer)
on conflict (seq) do update
set attempts = tally.attempts + excluded.attempts, lost = tally.lost + excluded.lost
