delete from headrace.history past
where past.seq = any ((select $1::text::bigint[])::bigint[]) and past.step > $2::integer
  and past.step <= (
    select max(step) from headrace.history newest where newest.seq = past.seq
  ) - $3::integer
