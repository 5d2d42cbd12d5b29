select version, expires from headrace.entry where key = $1::text for update
