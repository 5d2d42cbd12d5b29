-- Waits for a rival that redrives or deletes one of them, and then does not find it.
delete from headrace.finished where seq = any ((select $1::text::bigint[])::bigint[]) and state = any ((select $2::text::text[])::text[])
returning seq, attempt
