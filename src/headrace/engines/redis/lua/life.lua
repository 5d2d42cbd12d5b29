-- Life: the steps of a job's life that several writes share.

local LOST_LEASES_LIMIT = 3
local KEEP, KEEP_DEAD = 7 * 86400, 30 * 86400
local DRAIN_MEMORY = 30  -- seconds after which what was seen counts for little
local STEP, STEPS = 1000, 10

local function fade(seconds)
  return math.exp(-seconds / DRAIN_MEMORY)
end

-- Notes that a job of a queue was finished.
local function drain(queue)
  if queue.drain_weight == 0 then
    queue.drain_since = monotonic
  end
  queue.drain_weight = queue.drain_weight * fade(monotonic - queue.drain_at) + 1
  queue.drain_at = monotonic
end

-- Returns the jobs of a queue finished per second lately.
local function drain_rate(queue)
  -- At the start less was seen than could be remembered; a second avoids a burst's illusion.
  local seen = math.max(monotonic - queue.drain_since, 1)
  local weight = queue.drain_weight * fade(monotonic - queue.drain_at)
  return weight / (DRAIN_MEMORY * (1 - fade(seen)))
end

-- Gives a job another state, and keeps its queue's counts and its unique key in step.
local function move(job, to)
  local queue = queue_of(job.queue)
  local lived, lives = LIVE[job.state], LIVE[to]
  if lived then
    queue[job.state] = queue[job.state] - 1
  end
  if lives then
    queue[to] = queue[to] + 1
  end
  if lives and not lived then
    queue.bytes = queue.bytes + job.size
    if job.unique then
      hold(job.unique, job.id)
    end
  elseif lived and not lives then
    queue.bytes = queue.bytes - job.size
    drain(queue)
    if job.unique then
      hold(job.unique, false)
    end
  end
  queue.changed = true
  job.state = to
  touch(job)
end

-- Gives a waiting job another moment; a past one makes it ready.
local function postpone(job, run_at)
  if run_at <= now then
    job.run_at = false
    move(job, 'ready')
  else
    job.run_at = run_at
    move(job, 'scheduled')
  end
end

local function failure_text(cause, message)
  return cjson.encode({cause = cause, message = message})
end

-- Adds a run that did not succeed to a job's history.
local function tell(job, number, failure, counted)
  local list = histories[job.id] or {}
  list[#list + 1] = string.format('{"number":%d,"ended_at":%.17g,"counted":%s,"failure":%s}',
    number, now, counted and 'true' or 'false', failure)
  histories[job.id] = list
end

-- Ends a job; `failure` is a text, and false for a success.
local function finish(job, state, cause, failure)
  local keep = job.keep or KEEP
  if state == 'dead' then
    keep = job.keep_dead or KEEP_DEAD
  end
  job.run_at, job.cancelling = false, false
  job.finished, job.kept, job.cause = now, now + keep, cause
  if failure then
    failures[job.id] = failure
  end
  move(job, state)
end

local function cancel(job, cause, reason)
  finish(job, 'cancelled', cause, failure_text(cause, reason))
end

local function holder_in(claim)
  return string.match(claim, '^(.*)%.[^.]*$') or ''
end

-- Takes a running job from a holder that is gone; `failure`, a table, is the evidence.
local function forsake(job, failure)
  local evidence = {holder = holder_in(job.claim)}
  for name, value in pairs(failure) do
    evidence[name] = value
  end
  tell(job, job.attempt + 1, cjson.encode(evidence), false)
  job.lost = job.lost + 1
  job.claim = ''
  if job.lost >= LOST_LEASES_LIMIT then
    evidence.cause = 'crash-loop'
    finish(job, 'dead', 'crash-loop', cjson.encode(evidence))
  elseif job.cancelling then
    cancel(job, 'cancelled', job.cancelling)
  else
    postpone(job, now)
  end
end

-- Forgets a finished job altogether.
local function erase(job)
  touch(job)
  erased[job.id] = true
  results[job.id], failures[job.id], histories[job.id] = nil, nil, nil
  jobs[job.id] = false
end

-- Returns the members of a sorted set whose moment has come, a step of them.
local function rung(set, moment)
  return redis.call('ZRANGEBYSCORE', key(set), '-inf', string.format('%.17g', moment),
    'LIMIT', 0, STEP)
end

local function end_late(job)
  finish(job, 'dead', 'expired',
    failure_text('expired', 'it was not started before it expired'))
  count_up('expired', 1)
end

-- Ends jobs that are too late and makes due ones ready: in steps, and not for ever, because others
-- want to write, too.
local function let_time_pass()
  for _ = 1, STEPS do
    local late, due = rung('expiry', now), rung('scheduled', now)
    if #late + #due == 0 then
      return
    end
    read_jobs(late)
    read_jobs(due)
    for _, id in ipairs(late) do
      end_late(jobs[id])
    end
    for _, id in ipairs(due) do
      if jobs[id].state == 'scheduled' then
        postpone(jobs[id], now)
      end
    end
    flush()
  end
end
