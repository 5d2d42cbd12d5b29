insert into headrace.queue (name, drained_from) values ($1::text, $2::float8)
on conflict (name) do nothing
