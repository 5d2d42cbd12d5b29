delete from headrace_entry where key = ?
