update headrace_engine set token = token + 1 returning token
