-- Members of locked groups that wait for nothing but their turn.
select member.seq
from headrace.ordered member
join headrace.front front
  on front.queue = any (array[member.queue]) and front.order_key = member.order_key
where member.seq = any ((select $1::text::bigint[])::bigint[]) and front.seq is distinct from member.seq
  and not exists (select 1 from headrace.scheduled where scheduled.seq = any (array[member.seq]))
