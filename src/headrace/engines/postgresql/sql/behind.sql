-- Members of locked groups that wait for nothing but their turn.
select member.seq
from headrace.ordered member
join headrace.front front using (queue, order_key)
where member.seq = any ((select $1::text::bigint[])::bigint[]) and front.seq is distinct from member.seq
  and not exists (select 1 from headrace.scheduled where scheduled.seq = member.seq)
