select token_base from headrace.witness
