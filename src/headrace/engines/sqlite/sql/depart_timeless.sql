-- Those that were to expire, but were redriven since.
select job.id from json_each(?) chosen
join headrace_job job on job.seq = chosen.value
where (job.envelope ->> 'expires' is not null or job.envelope ->> 'expires_after' is not null)
  and job.seq not in (select seq from headrace_expiry)
  and job.seq not in (select seq from headrace_finished)
