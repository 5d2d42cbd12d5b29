insert into headrace_tag (tag, seq)
select distinct tag.value, job.seq
from headrace_job job join json_each(job.envelope, '$.tags') tag where job.seq > ?
