insert into headrace_tally (seq, attempts)
select seq, envelope ->> 'attempt' from headrace_job
where seq > ? and envelope ->> 'attempt' > 0
