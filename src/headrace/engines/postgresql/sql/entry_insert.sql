insert into headrace.entry (key, value, version, expires)
values ($1::text, $2::bytea, 1, $3::float8)
on conflict do nothing returning version
