select token_base from headrace.engine where id = 1 for update
