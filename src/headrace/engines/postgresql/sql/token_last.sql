-- The highest token that can have been handed out since tokens were last renewed.
select engine.token_base + token.last_value from headrace.engine, headrace.token where engine.id = 1
