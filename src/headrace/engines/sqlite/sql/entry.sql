select key, value, version from headrace_entry where key = ?1 and (expires is null or expires > ?2)
