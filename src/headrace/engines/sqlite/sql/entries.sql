-- In the order of types a blob comes after every text: without an end, all keys are before x''.
select key, value, version from headrace_entry
where key > ?1 and key >= ?2 and key < coalesce(?3, x'') and (expires is null or expires > ?4)
order by key limit ?5
