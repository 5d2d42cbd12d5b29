-- How long the run took that succeeded; a failed run's is in its failure.
alter table headrace_finished add column seconds real;
