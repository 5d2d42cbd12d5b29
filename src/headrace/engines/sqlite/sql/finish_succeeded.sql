insert into headrace_finished (seq, state, attempt, finished_at, kept_until, result, seconds)
select
  cast(substr(?2, rowid * 20 - 19, 20) as integer), 'succeeded', ?3, ?4, ?4 + ?5, nullif(value, ''),
  nullif(cast(substr(?6, rowid * 20 - 19, 20) as integer), -1) / 1e6
from carray(?1)
