select claimed.key
from json_each(?) claimed left join headrace_running running
  on running.seq = claimed.value ->> 0
  and running.token = claimed.value ->> 1
  and running.claim = claimed.value ->> 2
where running.seq is null
