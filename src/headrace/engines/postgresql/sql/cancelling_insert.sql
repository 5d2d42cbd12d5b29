insert into headrace.cancelling (seq, reason)
select unnest($1::text::bigint[]), $2::text on conflict do nothing returning seq
