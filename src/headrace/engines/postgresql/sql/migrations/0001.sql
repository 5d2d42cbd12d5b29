-- A job's state is the table it is in: ready, scheduled, running or finished; in none of them it
-- waits behind the head of its order key. Rows of job hardly ever change, so that the busy tables
-- stay narrow. Times are seconds since 1970 UTC by the server's clock.

create table headrace.engine (
  id integer primary key check (id = 1),
  version integer not null,              -- of this schema
  least integer not null,                -- the oldest version of the schema whose code may use it
  token_base bigint not null             -- what the sequence's values are added to
);
create sequence headrace.token;

-- Unlogged: a crash, a failover or a restored backup empties it, and then the base grows by more
-- than the sequence can have gone back.
create unlogged table headrace.witness (
  id integer primary key check (id = 1),
  token_base bigint not null
);

-- Proves that a transaction was committed, to whoever lost the connection meanwhile.
create table headrace.receipt (
  nonce uuid primary key,
  written_at double precision not null
);

create table headrace.queue (
  id integer generated always as identity primary key,
  name text collate "C" not null unique,
  paused boolean not null default false,
  depth bigint not null default 0,       -- unfinished jobs, but for what headrace.flow says
  bytes bigint not null default 0,       -- size of their envelopes
  max_depth bigint,
  max_bytes bigint,
  drained bigint not null default 0,     -- finished since drained_from
  drained_from double precision not null,
  drain_rate double precision not null default 0  -- jobs a second, over the last full window
);

-- What came and went since it was last added up: nobody waits for a row to count in.
create table headrace.flow (
  queue integer not null,
  jobs integer not null,
  bytes bigint not null,
  drained integer not null
);

create table headrace.job (
  seq bigint generated always as identity primary key,  -- the order of acceptance
  id uuid not null,
  queue integer not null,
  priority integer not null,
  task text not null,
  accepted_at double precision not null,
  size integer not null,
  retention text,                        -- JSON, if it is its own
  tags text[],
  envelope text not null                 -- the message as it was sent, JSON
);
create unique index job_id on headrace.job (id);

-- A job that lost a lease waits under the negative number of its queue, to be given alone.
create table headrace.ready (
  queue integer not null,
  rank integer not null,                 -- minus the priority
  seq bigint not null,
  primary key (queue, rank, seq)
);

create table headrace.scheduled (
  seq bigint primary key,
  run_at double precision not null
);
create index scheduled_run_at on headrace.scheduled (run_at);

-- No index on lease_until, and room in every page: a heartbeat is an update in place.
create table headrace.running (
  seq bigint primary key,
  token bigint not null,
  claim text collate "C" not null,
  lease_until double precision not null
) with (fillfactor = 70);

create table headrace.finished (
  seq bigint primary key,
  state text not null,
  attempt integer not null,
  finished_at double precision not null,
  kept_until double precision not null,
  result text,                           -- JSON
  cause text,
  failure text                           -- JSON
);
create index finished_kept_until on headrace.finished (kept_until);
create index finished_failed on headrace.finished (state, seq) where state <> 'succeeded';

-- Only jobs that failed, or lost a lease, have rows here.
create table headrace.tally (
  seq bigint primary key,
  attempts integer not null default 0,   -- since it was submitted or redriven
  lost integer not null default 0
);
create table headrace.history (
  seq bigint not null,
  step integer not null,
  number integer not null,
  ended_at double precision not null,
  counted boolean not null,
  failure text not null,                 -- JSON
  primary key (seq, step)
);

-- Live jobs with an order key.
create table headrace.ordered (
  seq bigint primary key,
  queue integer not null,
  order_key text collate "C" not null,
  skip boolean not null                  -- while it waits for a moment, others may go first
);
create index ordered_group on headrace.ordered (queue, order_key, seq);

-- A row for each order key, locked by whoever changes the group; seq is the one job of it that is
-- ready or running.
create table headrace.front (
  queue integer not null,
  order_key text collate "C" not null,
  seq bigint,
  primary key (queue, order_key)
);

-- Live jobs with a unique key.
create table headrace.unique_key (
  unique_key text collate "C" primary key,
  id uuid not null unique
);

-- Live jobs that must start in time.
create table headrace.expiry (
  seq bigint primary key,
  expires double precision not null
);
create index expiry_expires on headrace.expiry (expires);

-- Running jobs that somebody asked to cancel.
create table headrace.cancelling (
  seq bigint primary key,
  reason text not null                   -- JSON: a text of PostgreSQL holds not every character
);

create table headrace.tag (
  tag text collate "C" not null,
  seq bigint not null,
  primary key (tag, seq)
);

create table headrace.entry (
  key text collate "C" primary key,
  value bytea not null,
  version bigint not null,
  expires double precision
);
create index entry_expires on headrace.entry (expires) where expires is not null;

-- Tables through which jobs only pass are vacuumed by how much passed, not by how much is there.
alter table headrace.ready set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
alter table headrace.running set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
alter table headrace.scheduled set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
alter table headrace.flow set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
alter table headrace.receipt set (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

insert into headrace.engine (id, version, least, token_base) values (1, 1, 1, 0);
