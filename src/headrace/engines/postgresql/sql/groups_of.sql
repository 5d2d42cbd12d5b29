select distinct queue, order_key from (
  select queue, order_key from headrace.ordered
  where seq = any ((select $1::text::bigint[])::bigint[])
  offset 0
) member
