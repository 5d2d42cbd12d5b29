select key, value, version from headrace.entry
where key in (select json_array_elements_text($1::text::json))
  and (expires is null or expires > $2::float8)
