select seq from headrace.running where seq = any($1::text::bigint[]) order by seq for update
