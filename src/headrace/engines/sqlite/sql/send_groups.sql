select distinct queue, order_key from headrace_ordered member not indexed -- as in send_fronts
where seq > ? and not exists (
  select 1 from headrace_front front
  where front.queue = member.queue and front.order_key = member.order_key
)
