update headrace_queue set paused = ?2 where name = ?1
