-- Waits for a rival that redrives or deletes one of them, and then does not find it.
delete from headrace.finished where seq = any($1::text::bigint[]) and state = any($2::text::text[])
returning seq, attempt
