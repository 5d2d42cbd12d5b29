insert into headrace_ordered (seq, queue, order_key, skip)
select seq, queue, envelope ->> 'order_key', envelope ->> 'order_on_wait' is 'skip'
from headrace_job job
where seq > ? and envelope ->> 'order_key' is not null
  and not exists (select 1 from headrace_finished finished where finished.seq = job.seq)
