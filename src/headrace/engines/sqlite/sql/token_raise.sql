update headrace_engine set token = max(token, ?)
