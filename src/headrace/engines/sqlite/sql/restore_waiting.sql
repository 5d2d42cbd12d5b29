select job.seq from headrace_job job
left join headrace_finished finished using (seq)
left join headrace_scheduled scheduled using (seq)
where job.seq > ? and finished.seq is null and scheduled.seq is null
