-- A step of 2^32 is more than a sequence loses in a crash; a new timeline, after a failover, is 2^44
-- above the last one, whose newest steps may not have arrived.
update headrace.engine
set token_base = greatest(
  token_base,
  (('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint) << 44
) + (1::bigint << 32)
where id = 1
returning token_base
