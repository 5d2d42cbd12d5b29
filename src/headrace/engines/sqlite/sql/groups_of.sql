select distinct queue, order_key from headrace_ordered
where seq in (select value from json_each(?))
