update headrace.queue set paused = $2::boolean where name = $1::text
