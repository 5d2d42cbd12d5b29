-- Writes: what each write does, and what it is answered.

local function refuse(...)
  error({refusal = {...}})
end

-- Sending ------------------------------------------------------------------------------------------

local function new_job(f)
  local run_at, expires = f[8], f[10]
  if f[7] then
    run_at = now + f[7]
  end
  if f[9] then
    expires = now + f[9]
  end
  return {
    id = f[1], task = f[2], queue = f[3], text = f[4], size = #f[4], priority = f[5],
    attempt = f[6], lost = 0, token = 0, claim = '', accepted = now, run_at = run_at,
    expires = expires, cancelling = false, finished = false, kept = false, cause = false,
    unique = f[11], order = f[13], skip = f[14], lease = f[15], keep = f[16], keep_dead = f[17],
    tags = f[18],
  }
end

-- Ends the waiting job that holds the key of a new one, if it may be replaced, and returns its id.
local function replace_rival(job, may_replace)
  local rival = job.unique and job_of(holder_of(job.unique) or '')
  if not rival then
    return nil
  end
  if not (may_replace and waits(rival)) then
    refuse('key-held', job.unique, rival.id, rival.state)
  end
  cancel(rival, 'replaced', '')
  return rival.id
end

local function check_room(job)
  local queue = queue_of(job.queue)
  local depth = queue.ready + queue.scheduled + queue.running
  local excess = 0
  if queue.max_depth then
    excess = depth + 1 - queue.max_depth
  end
  if queue.max_bytes then
    local size = queue.bytes + job.size
    excess = math.max(excess, (size - queue.max_bytes) * (depth + 1) / size)
  end
  if excess > 0 then
    refuse('queue-full', job.queue, depth, queue.bytes, excess, drain_rate(queue))
  end
end

local function send(list)
  local ids, replaced = {}, {}
  for at, f in ipairs(list) do
    ids[at] = f[1]
  end
  read_jobs(ids)
  for _, f in ipairs(list) do
    local job = new_job(f)
    if jobs[job.id] then
      refuse('id-taken', job.id)
    end
    replaced[#replaced + 1] = replace_rival(job, f[12])
    check_room(job)
    job.seq = count_up('seq', 1)
    jobs[job.id] = job
    if job.run_at then
      postpone(job, job.run_at)
    else
      move(job, 'ready')
    end
  end
  return replaced
end

-- Leases -------------------------------------------------------------------------------------------

local function held(id, token, claim)
  local job = job_of(id)
  return job and job.state == 'running' and job.token == token and job.claim == claim and job
end

local function read_leased(list)
  local ids = {}
  for at, f in ipairs(list) do
    ids[at] = f[1]
  end
  read_jobs(ids)
end

local function extend(list, seconds)
  local lost, cancelled = {}, {}
  read_leased(list)
  for _, f in ipairs(list) do
    local job = held(f[1], f[2], f[3])
    if job then
      job.lease_until = monotonic + (job.lease or seconds)
      touch(job)
    end
    if not job then
      lost[#lost + 1] = f[1]
    elseif job.cancelling then
      cancelled[#cancelled + 1] = f[1]
    end
  end
  return {lost, cancelled}
end

local function settle_one(job, to, counted, delay, result, cause, failure)
  -- A run that does not end its job cannot win against the wish to cancel it.
  local obeys = job.cancelling and LIVE[to]
  if not failure and (obeys or to == 'cancelled') then
    cause, failure = 'cancelled', failure_text('cancelled', job.cancelling or '')
  end
  if failure then
    tell(job, job.attempt + 1, failure, counted)
  end
  job.attempt = job.attempt + (counted and 1 or 0)
  job.claim = ''
  if obeys then
    cancel(job, 'cancelled', job.cancelling)
  elseif not LIVE[to] then
    if result then
      results[job.id] = result
    end
    finish(job, to, cause, failure)
  else
    postpone(job, now + (to == 'scheduled' and delay or 0))
  end
end

local function settle(list, strict)
  local lost = {}
  read_leased(list)
  for _, f in ipairs(list) do
    local job = held(f[1], f[2], f[3])
    if job then
      settle_one(job, f[4], f[5], f[6], f[7], f[8], f[9])
    else
      lost[#lost + 1] = f[1]
    end
  end
  if strict and #lost > 0 then
    refuse('lease-lost', lost)
  end
  return lost
end

local function reclaim(holder, failure)
  local found, returned, dead = {}, {}, {}
  -- All running jobs are looked at: there are as many as workers run, and workers die seldom.
  local ids = redis.call('ZRANGE', key('running'), 0, -1)
  read_jobs(ids)
  for _, id in ipairs(ids) do
    if jobs[id].state == 'running' and holder_in(jobs[id].claim) == holder then
      found[#found + 1] = jobs[id]
    end
  end
  table.sort(found, function(a, b) return a.seq < b.seq end)
  for _, job in ipairs(found) do
    forsake(job, failure)
    if job.state == 'ready' then
      returned[#returned + 1] = job.id
    elseif job.state == 'dead' then
      dead[#dead + 1] = job.id
    end
  end
  return {returned, dead}
end

-- Changes ------------------------------------------------------------------------------------------

-- Applies a change to each job once; it says whether it changed anything.
local function change(ids, apply)
  local states, changed, seen = {}, {}, {}
  read_jobs(ids)
  for _, id in ipairs(ids) do
    local job = not seen[id] and jobs[id]
    seen[id] = true
    if job then
      if apply(job) then
        changed[#changed + 1] = id
      end
      if jobs[id] then
        states[#states + 1] = {id, job.state}
      end
    end
  end
  return {states, changed}
end

local function cancel_jobs(ids, reason)
  return change(ids, function(job)
    if waits(job) then
      cancel(job, 'cancelled', reason)
      return true
    elseif job.state == 'running' and not job.cancelling then
      job.cancelling = reason
      touch(job)
      return true
    end
  end)
end

local function redrive(job)
  local rival = job.unique and job_of(holder_of(job.unique) or '')
  if rival then
    refuse('key-held', job.unique, rival.id, rival.state)
  end
  tell(job, job.attempt, failure_text('redriven', 'its attempts start anew'), false)
  failures[job.id] = false
  -- Whoever redrives a job wants it to run, however late that is.
  job.expires, job.finished, job.kept, job.cause = false, false, false, false
  job.attempt, job.lost = 0, 0
  move(job, 'ready')
end

local function retry_jobs(ids)
  return change(ids, function(job)
    if job.state == 'scheduled' then
      postpone(job, now)
      return true
    elseif job.state == 'dead' then
      redrive(job)
      return true
    end
  end)
end

local function purge_jobs(ids)
  return change(ids, function(job)
    if waits(job) then
      cancel(job, 'purged', '')
      return true
    elseif not LIVE[job.state] then
      erase(job)
      return true
    end
  end)
end

local function edit_jobs(ids, priority, run_at)
  return change(ids, function(job)
    if not waits(job) then
      return false
    end
    if priority then
      job.priority = priority
      touch(job)
    end
    if run_at then
      postpone(job, run_at)
    end
    return true
  end)
end

local function pause_queue(name, paused)
  local queue = queue_of(name)
  queue.paused, queue.changed = paused and 1 or 0, true
  return false
end

local function limit_queue(name, max_depth, max_bytes)
  local queue = queue_of(name)
  queue.max_depth, queue.max_bytes, queue.changed = max_depth, max_bytes, true
  return false
end

-- The store ----------------------------------------------------------------------------------------

local function checked(name, expect)
  local entry = entry_of(name)
  local version = entry and entry[1] or 0
  if expect and expect ~= version then
    refuse('conflict', name, expect, version)
  end
  return version
end

-- `blob` is the number of the argument that is the value: its bytes are none of MessagePack's texts.
local function put(name, blob, expect, expires_after)
  local version = checked(name, expect) + 1
  local expires = expires_after and now + expires_after
  entries[name] = {kept = {version, expires, ARGV[blob]}, changed = true}
  return version
end

local function delete(name, expect)
  checked(name, expect)
  entries[name] = {kept = false, changed = true}
  return 0
end

local VERBS = {
  send = send, extend = extend, settle = settle, reclaim = reclaim, cancel = cancel_jobs,
  retry = retry_jobs, purge = purge_jobs, edit = edit_jobs, pause = pause_queue,
  limit = limit_queue, put = put, delete = delete,
}
