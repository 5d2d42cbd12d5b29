-- What only matters while jobs live.
with chosen as materialized (select unnest($1::text::bigint[]) as seq),
ordered as (delete from headrace.ordered using chosen where ordered.seq = chosen.seq),
expiring as (delete from headrace.expiry using chosen where expiry.seq = chosen.seq),
asked as (delete from headrace.cancelling using chosen where cancelling.seq = chosen.seq)
delete from headrace.unique_key using headrace.job job, chosen
where job.seq = chosen.seq and unique_key.id = job.id
