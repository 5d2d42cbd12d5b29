select coalesce(max(seq), 0) from headrace_job
