insert into headrace_queue (name, drained_from)
select distinct coalesce(value ->> '$.message.queue', 'default'), ?2 from json_each(?1)
where true on conflict do nothing
