-- A job's state is the table it is in: ready, scheduled, running or finished; in none of them it
-- waits behind the head of its order key. Rows of headrace_job never change, so that the busy
-- tables stay narrow. Times are seconds: wall clock since 1970 UTC, but lease_until is the
-- monotonic clock of the boot that headrace_engine names.

create table headrace_engine (
  id integer primary key check (id = 1),
  token integer not null,               -- the last fencing token handed out
  boot text not null
);

create table headrace_queue (
  id integer primary key,
  name text not null unique,
  paused integer not null default 0,
  depth integer not null default 0,     -- unfinished jobs
  bytes integer not null default 0,     -- size of their envelopes
  max_depth integer,
  max_bytes integer,
  drained integer not null default 0,   -- finished since drained_from
  drained_from real not null default 0,
  drain_rate real not null default 0    -- jobs a second, over the last full window
);

create table headrace_job (
  seq integer primary key,              -- the order of acceptance
  id text not null,
  queue integer not null,
  priority integer not null,
  task text not null,
  accepted_at real not null,
  size integer not null,
  envelope text not null                -- the message as it was sent, JSON
);
create unique index headrace_job_id on headrace_job (id);

-- A job that lost a lease waits under the negative number of its queue, to be given alone.
create table headrace_ready (
  queue integer not null,
  rank integer not null,                -- minus the priority
  seq integer not null,
  primary key (queue, rank, seq)
) without rowid;

create table headrace_scheduled (
  seq integer primary key,
  run_at real not null
);
create index headrace_scheduled_run_at on headrace_scheduled (run_at);

create table headrace_running (
  seq integer primary key,
  token integer not null,
  claim text not null,
  lease_until real not null
);

create table headrace_finished (
  seq integer primary key,
  state text not null,
  attempt integer not null,
  finished_at real not null,
  kept_until real not null,
  result text,                          -- JSON
  failure text                          -- JSON
);
create index headrace_finished_kept_until on headrace_finished (kept_until);
create index headrace_finished_failed on headrace_finished (state, seq)
  where state <> 'succeeded';

-- Only jobs that failed, or lost a lease, have rows here.
create table headrace_tally (
  seq integer primary key,
  attempts integer not null default 0,  -- since it was submitted or redriven
  lost integer not null default 0
);
create table headrace_history (
  seq integer not null,
  step integer not null,
  number integer not null,
  ended_at real not null,
  counted integer not null,
  failure text not null,                -- JSON
  primary key (seq, step)
) without rowid;

-- Live jobs with an order key.
create table headrace_ordered (
  seq integer primary key,
  queue integer not null,
  order_key text not null,
  skip integer not null                 -- while it waits for a moment, others may go first
);
create index headrace_ordered_group on headrace_ordered (queue, order_key, seq);

-- The one job of each order key that is ready or running; a group without one waits.
create table headrace_front (
  queue integer not null,
  order_key text not null,
  seq integer not null,
  primary key (queue, order_key)
) without rowid;

-- Live jobs with a unique key.
create table headrace_unique (
  seq integer primary key,
  unique_key text not null unique
);

-- Live jobs that must start in time.
create table headrace_expiry (
  seq integer primary key,
  expires real not null
);
create index headrace_expiry_expires on headrace_expiry (expires);

-- Running jobs that somebody asked to cancel.
create table headrace_cancelling (
  seq integer primary key,
  reason text not null
);

create table headrace_tag (
  tag text not null,
  seq integer not null,
  primary key (tag, seq)
) without rowid;

create table headrace_entry (
  key text primary key,
  value blob not null,
  version integer not null,
  expires real
) without rowid;
create index headrace_entry_expires on headrace_entry (expires) where expires is not null;
