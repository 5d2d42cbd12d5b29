-- Life: the steps of a job's life that several writes share.

local LOST_LEASES_LIMIT = 3  -- this and the other limits are those of `write.py` and `record.py`
local DEFAULT_KEEP, DEFAULT_KEEP_DEAD = 7 * 86400, 30 * 86400
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
  if queue.drain_at ~= monotonic then
    queue.drain_weight = queue.drain_weight * fade(monotonic - queue.drain_at)
    queue.drain_at = monotonic
  end
  queue.drain_weight = queue.drain_weight + 1
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
  touch(job)
  local queue = queue_of(job[QUEUE])
  local lived, lives = LIVE[job[STATE]], LIVE[to]
  if lived then
    queue[job[STATE]] = queue[job[STATE]] - 1
  end
  if lives then
    queue[to] = queue[to] + 1
  end
  if lives and not lived then
    queue.bytes = queue.bytes + job[SIZE]
    if job[UNIQUE] then
      hold(job[UNIQUE], job[ID])
    end
  elseif lived and not lives then
    queue.bytes = queue.bytes - job[SIZE]
    drain(queue)
    if job[UNIQUE] then
      hold(job[UNIQUE], false)
    end
  end
  queue.changed = true
  job[STATE] = to
end

-- Gives a waiting job another moment; a past one makes it ready.
local function postpone(job, run_at)
  touch(job)
  if run_at <= now then
    job[RUN_AT] = false
    move(job, 'ready')
  else
    job[RUN_AT] = run_at
    move(job, 'scheduled')
  end
end

local function failure_text(cause, message)
  return cjson.encode({cause = cause, message = message})
end

-- Adds a run that did not succeed to a job's history; it ended now, unless something else is said.
local function tell(job, number, failure, counted, ended_at)
  local list = histories[job[ID]] or {}
  list[#list + 1] = string.format('{"number":%d,"ended_at":%.17g,"counted":%s,"failure":%s}',
    number, ended_at or now, counted and 'true' or 'false', failure)
  histories[job[ID]] = list
end

-- Ends a job; `failure` is a text, and false for a success.
local function finish(job, state, cause, failure)
  touch(job)
  local keep = job[KEEP] or DEFAULT_KEEP
  if state == 'dead' then
    keep = job[KEEP_DEAD] or DEFAULT_KEEP_DEAD
  end
  job[RUN_AT], job[CANCELLING] = false, false
  job[FINISHED], job[KEPT], job[CAUSE] = now, now + keep, cause
  if failure then
    failures[job[ID]] = failure
  end
  move(job, state)
end

local function cancel(job, cause, reason)
  finish(job, 'cancelled', cause, failure_text(cause, reason))
end

local function holder_in(claim)
  return string.match(claim, '^(.*)%.[^.]*$') or ''
end

-- Takes a running job from a holder that is gone; `failure`, a table, is the evidence. The lost
-- lease is `counted` unless the holder died of something else than its jobs.
local function forsake(job, failure, counted)
  touch(job)
  local evidence = {holder = holder_in(job[CLAIM])}
  for name, value in pairs(failure) do
    evidence[name] = value
  end
  tell(job, job[ATTEMPT] + 1, cjson.encode(evidence), false)
  job[LOST] = job[LOST] + (counted and 1 or 0)
  job[CLAIM] = ''
  if counted and job[LOST] >= LOST_LEASES_LIMIT then
    evidence.cause = 'crash-loop'
    finish(job, 'dead', 'crash-loop', cjson.encode(evidence))
  elseif job[CANCELLING] then
    cancel(job, 'cancelled', job[CANCELLING])
  else
    postpone(job, now)
  end
end

-- Forgets a finished job altogether.
local function erase(job)
  local id = job[ID]
  touch(job)
  erased[#erased + 1] = {job = job, was = was[id]}
  texts[id], results[id], failures[id], histories[id] = nil, nil, nil, nil
  jobs[id], stored[id], was[id] = false, false, nil
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

-- Returns a token that none handed out exceeds. They begin anew at this server's microseconds whenever
-- it is not the server that gave the last one: one that lost its latest writes never repeats a token.
local function highest_token()
  local token = tonumber(meta_of('token')) or 0
  if meta_of('run') ~= header[4] then
    token = math.max(token, header[5], microseconds)
  end
  return token
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
      if jobs[id][STATE] == 'scheduled' then
        postpone(jobs[id], now)
      end
    end
    flush()
  end
end
