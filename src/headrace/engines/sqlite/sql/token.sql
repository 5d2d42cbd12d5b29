select token from headrace_engine
