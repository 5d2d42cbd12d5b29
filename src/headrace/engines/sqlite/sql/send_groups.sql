select distinct queue, order_key from headrace_ordered member
where seq > ? and not exists (
  select 1 from headrace_front front
  where front.queue = member.queue and front.order_key = member.order_key
)
