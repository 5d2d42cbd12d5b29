update headrace_queue set max_depth = ?2, max_bytes = ?3 where name = ?1
