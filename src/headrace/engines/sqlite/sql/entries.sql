select key, value, version from headrace_entry
where key > ?1 and key >= ?2 and (?3 is null or key < ?3) and (expires is null or expires > ?4)
order by key limit ?5
