-- A rival that wakes or edits one of them is awaited, and then it is not found.
select seq from headrace.scheduled where seq = any($1::text::bigint[]) order by seq for update
