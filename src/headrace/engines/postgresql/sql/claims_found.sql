select distinct claim from headrace.running
where claim in (select json_array_elements_text($1::text::json))
