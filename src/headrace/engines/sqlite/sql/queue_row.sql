select id, depth, bytes, max_depth, max_bytes, drain_rate, drained, drained_from
from headrace_queue where name = ?
