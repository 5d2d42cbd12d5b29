-- What finished knows its attempts itself.
insert into headrace_tally (seq, attempts, lost)
select ?2 + 1 + key, coalesce(value ->> 'attempt', 0), coalesce(value ->> 'lost', 0)
from json_each(?1)
where value ->> 'lost' > 0
  or value ->> 'attempt' > 0 and value ->> 'state' in ('ready', 'scheduled')
