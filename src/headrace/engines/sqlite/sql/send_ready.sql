insert into headrace_ready (queue, rank, seq)
select queue, -priority, seq from headrace_job where seq > last_insert_rowid() - ?1
