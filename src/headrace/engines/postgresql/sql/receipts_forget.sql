delete from headrace.receipt where nonce = any (array(
  select nonce from headrace.receipt where written_at < $1::float8 limit 5000
  for update skip locked
))
