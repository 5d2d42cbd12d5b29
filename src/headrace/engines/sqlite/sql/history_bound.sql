delete from headrace_history
where step > ?2 and (seq, step) in (
  select entry.value ->> 0,
    (select max(step) from headrace_history past where past.seq = entry.value ->> 0) - ?3
  from json_each(?1) entry
)
