with chosen as materialized (select unnest($1::text::bigint[]) as seq),
tagged as (
  delete from headrace.tag
  using (select seq, unnest(tags) as tag from headrace.job join chosen using (seq)) worn
  where tag.tag = worn.tag and tag.seq = worn.seq
),
past as (delete from headrace.history using chosen where history.seq = chosen.seq),
counted as (delete from headrace.tally using chosen where tally.seq = chosen.seq),
asked as (delete from headrace.cancelling using chosen where cancelling.seq = chosen.seq)
delete from headrace.job using chosen where job.seq = chosen.seq
