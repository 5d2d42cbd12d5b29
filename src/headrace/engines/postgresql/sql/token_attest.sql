-- What tokens are added to must be on the disk before one is handed out.
with synced as materialized (select set_config('synchronous_commit', 'on', true))
insert into headrace.witness (id, token_base) select 1, $1::bigint from synced
