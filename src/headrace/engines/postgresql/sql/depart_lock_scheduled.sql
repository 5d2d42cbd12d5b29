-- A rival that wakes or edits one of them is awaited, and then it is not found.
select seq from headrace.scheduled where seq = any ((select $1::text::bigint[])::bigint[]) order by seq for update
