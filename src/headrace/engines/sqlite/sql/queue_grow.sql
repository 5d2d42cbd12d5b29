update headrace_queue set depth = depth + ?2, bytes = bytes + ?3
where name = ?1
returning id, depth, bytes, max_depth, max_bytes, drain_rate, drained, drained_from
