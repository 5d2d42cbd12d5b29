delete from headrace_entry where key in (
  select key from headrace_entry where expires is not null and expires <= ? limit ?
)
