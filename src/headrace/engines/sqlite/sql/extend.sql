update headrace_running set lease_until = ?2 + (kept.value ->> 3)
from json_each(?1) kept
where headrace_running.seq = kept.value ->> 0
  and headrace_running.token = kept.value ->> 1
  and headrace_running.claim = kept.value ->> 2
