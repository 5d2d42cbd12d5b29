delete from headrace.scheduled where seq = any($1::text::bigint[]) returning seq, run_at
