select id from headrace.queue where name = $1::text for no key update
