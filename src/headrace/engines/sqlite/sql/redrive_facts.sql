select job.envelope ->> 'unique_key', finished.attempt
from headrace_job job join headrace_finished finished using (seq) where job.seq = ?
