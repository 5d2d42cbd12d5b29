-- The time, which database of which running server this is, and the transaction. Told as numbers, which
-- every driver and every setting of a session spells alike.
select extract(epoch from clock_timestamp())::float8,
  (select oid::bigint from pg_database where datname = current_database()),
  (extract(epoch from pg_postmaster_start_time()) * 1000000)::bigint,
  case when pg_is_in_recovery() then null else pg_current_xact_id()::text end
