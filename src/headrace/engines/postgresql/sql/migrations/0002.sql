-- How long the run took that succeeded; a failed run's is in its failure.
alter table headrace.finished add column seconds double precision;
update headrace.engine set version = 2 where id = 1;
