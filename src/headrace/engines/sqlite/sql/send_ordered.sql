insert into headrace_ordered (seq, queue, order_key, skip)
select seq, queue, envelope ->> 'order_key', envelope ->> 'order_on_wait' is 'skip'
from headrace_job where seq > ? and envelope ->> 'order_key' is not null
