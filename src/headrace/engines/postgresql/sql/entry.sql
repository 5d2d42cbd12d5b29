select key, value, version from headrace.entry
where key = $1::text and (expires is null or expires > $2::float8)
