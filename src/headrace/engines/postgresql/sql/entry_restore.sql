insert into headrace.entry (key, value, version, expires)
values ($1::text, $2::bytea, $3::bigint, $4::float8)
on conflict (key) do update
set value = excluded.value, version = excluded.version, expires = excluded.expires
where entry.expires <= $5::float8
