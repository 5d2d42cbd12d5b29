select seq, reason from headrace_cancelling where seq in (select value from json_each(?))
