delete from headrace_front where queue = ? and order_key = ?
