select distinct queue, order_key from headrace.ordered where seq = any($1::text::bigint[])
