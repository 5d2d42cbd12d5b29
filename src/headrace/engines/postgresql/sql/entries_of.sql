with given as materialized (
  select key as wanted from json_array_elements_text($1::text::json) as key
)
select entry.key, entry.value, entry.version
from given join headrace.entry on entry.key = any (array[given.wanted])
where entry.expires is null or entry.expires > $2::float8
