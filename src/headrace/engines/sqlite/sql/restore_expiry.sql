insert into headrace_expiry (seq, expires)
select seq, expires from (
  select ?2 + 1 + key as seq,
    coalesce(
      value ->> '$.message.expires',
      (value ->> 'accepted_at') + (value ->> '$.message.expires_after')
    ) as expires
  from json_each(?1)
  where value ->> 'state' in ('ready', 'scheduled')
) where expires is not null
