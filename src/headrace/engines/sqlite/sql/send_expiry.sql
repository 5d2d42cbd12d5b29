insert into headrace_expiry (seq, expires)
select seq, expires from (
  select seq, coalesce(envelope ->> 'expires', ?2 + (envelope ->> 'expires_after')) as expires
  from headrace_job where seq > ?1
) where expires is not null
