-- Which of the runs still hold their lease; from now on nobody takes it from them.
select given.n
from headrace.running running
join json_to_recordset($1::text::json) as given (n integer, s bigint, t bigint, c text)
  on running.seq = any (array[given.s]) and running.token = given.t and running.claim = given.c
order by given.s
for update of running
