select exists (select 1 from headrace_cancelling)
