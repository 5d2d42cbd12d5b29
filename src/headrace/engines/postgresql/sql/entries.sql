select key, value, version from headrace.entry
where key > $1::text and key >= $2::text and ($3::text is null or key < $3::text)
  and (expires is null or expires > $4::float8)
order by key limit $5::bigint
