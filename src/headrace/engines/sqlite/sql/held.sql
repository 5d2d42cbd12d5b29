select count(*), exists (select 1 from headrace_cancelling)
from carray(?1) place join headrace_running running on running.seq = place.value
where running.token = ?2 and running.claim = ?3
