-- Lets tokens go on above another engine's. The sequence goes on at once, whatever becomes of the
-- transaction; a step of 2^32 is more than claims draw between the look at it and the change, so it
-- never goes back.
select setval('headrace.token'::regclass, $1::bigint - engine.token_base + (1::bigint << 32))
from headrace.engine, headrace.token
where engine.id = 1 and engine.token_base + token.last_value < $1::bigint
