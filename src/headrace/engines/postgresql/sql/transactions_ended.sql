select given.number, coalesce(pg_xact_status(given.number::xid8), 'committed')
from unnest($1::text::text[]) as given (number)
where pg_xact_status(given.number::xid8) is distinct from 'in progress'
