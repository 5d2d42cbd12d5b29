delete from headrace.scheduled where seq = any ((select $1::text::bigint[])::bigint[]) returning seq, run_at
