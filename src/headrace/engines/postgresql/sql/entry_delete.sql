delete from headrace.entry where key = $1::text
