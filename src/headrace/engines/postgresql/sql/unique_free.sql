delete from headrace.unique_key
where unique_key = any (array(select json_array_elements_text($1::text::json)))
