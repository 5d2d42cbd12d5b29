-- Whose open transactions hold the lock of migrations, by its name, or a table of the schema, `$2`:
-- the oldest first. An advisory lock of 64 bits is shown in two halves.
select activity.pid, activity.application_name, activity.state,
  extract(epoch from clock_timestamp() - activity.xact_start)::float8
from pg_stat_activity activity
where activity.xact_start is not null and activity.pid <> pg_backend_pid()
and activity.pid in (
  select held.pid from pg_locks held
  where held.granted
  and held.database = (select oid from pg_database where datname = current_database())
  and (
    held.locktype = 'advisory' and held.objsubid = 1
      and (held.classid::bigint << 32) | held.objid::bigint = hashtextextended($1::text, 0)
    or held.locktype = 'relation' and held.relation in (
      select class.oid from pg_class class
      join pg_namespace namespace on namespace.oid = class.relnamespace
      where namespace.nspname = $2::text
    )
  )
)
order by activity.xact_start
limit 3
