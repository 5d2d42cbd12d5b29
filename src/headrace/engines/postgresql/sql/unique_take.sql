-- Whoever inserts a key that a rival has in an open transaction waits until that has ended; all take
-- keys in the same order.
insert into headrace.unique_key (unique_key, id)
select wanted.k, wanted.i from json_to_recordset($1::text::json) as wanted (k text, i uuid)
order by wanted.k collate "C"
on conflict do nothing
returning unique_key
