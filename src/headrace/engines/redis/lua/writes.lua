-- Writes: what each write does, and what it is answered.

local function refuse(...)
  error({refusal = {...}})
end

-- Sending ------------------------------------------------------------------------------------------

-- Returns the job that a message becomes; the message's facts are listed in `asking.py`.
local function new_job(f)
  local run_at, expires = f[8], f[10]
  if f[7] then
    run_at = now + f[7]
  end
  if f[9] then
    expires = now + f[9]
  end
  return {
    false, f[3], count_up('seq', 1), f[2], f[5], #f[4], now, f[6], 0, 0, '', false, false, false,
    run_at, expires, false, f[15], f[16], f[17], f[11], f[13], f[14], f[18], false,
    f[1],
  }
end

local function rival_of(job)
  local id = job[UNIQUE] and holder_of(job[UNIQUE])
  return id and job_of(id)
end

-- Ends the waiting job that holds the key of a new one, if it may be replaced, and returns its id.
local function replace_rival(job, may_replace)
  local rival = rival_of(job)
  if not rival then
    return nil
  end
  if not (may_replace and waits(rival[STATE])) then
    refuse('key-held', job[UNIQUE], rival[ID], rival[STATE])
  end
  cancel(rival, 'replaced', '')
  return rival[ID]
end

local function check_room(job)
  local queue = queue_of(job[QUEUE])
  local depth = queue.ready + queue.scheduled + queue.running
  local excess = 0
  if queue.max_depth then
    excess = depth + 1 - queue.max_depth
  end
  if queue.max_bytes then
    local size = queue.bytes + job[SIZE]
    excess = math.max(excess, (size - queue.max_bytes) * (depth + 1) / size)
  end
  if excess > 0 then
    refuse('queue-full', job[QUEUE], depth, queue.bytes, excess, drain_rate(queue))
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
    if jobs[job[ID]] then
      refuse('id-taken', job[ID])
    end
    replaced[#replaced + 1] = replace_rival(job, f[12])
    check_room(job)
    jobs[job[ID]], texts[job[ID]] = job, f[4]
    if job[RUN_AT] then
      postpone(job, job[RUN_AT])
    else
      move(job, 'ready')
    end
  end
  return replaced
end

-- Leases -------------------------------------------------------------------------------------------

local function held(id, token, claim)
  local job = job_of(id)
  return job and job[STATE] == 'running' and job[TOKEN] == token and job[CLAIM] == claim and job
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
      touch(job)
      lease_ends[job[ID]] = monotonic + (job[LEASE] or seconds)
    end
    if not job then
      lost[#lost + 1] = f[1]
    elseif job[CANCELLING] then
      cancelled[#cancelled + 1] = f[1]
    end
  end
  return {lost, cancelled}
end

local function settle_one(job, to, counted, result, delay, cause, failure, seconds)
  touch(job)
  -- A run that does not end its job cannot win against the wish to cancel it.
  local obeys = job[CANCELLING] and LIVE[to]
  if not failure and (obeys or to == 'cancelled') then
    cause, failure = 'cancelled', failure_text('cancelled', job[CANCELLING] or '')
  end
  if failure then
    tell(job, job[ATTEMPT] + 1, failure, counted)
  end
  job[ATTEMPT] = job[ATTEMPT] + (counted and 1 or 0)
  job[CLAIM] = ''
  if obeys then
    cancel(job, 'cancelled', job[CANCELLING])
  elseif not LIVE[to] then
    if result then
      results[job[ID]] = result
    end
    job[SECONDS] = seconds
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
      settle_one(job, f[4], f[5], f[6], f[7], f[8], f[9], f[10])
    else
      lost[#lost + 1] = f[1]
    end
  end
  if strict and #lost > 0 then
    refuse('lease-lost', lost)
  end
  return lost
end

local function reclaim(holder, failure, counted)
  local found, returned, dead = {}, {}, {}
  -- All running jobs are looked at: there are as many as workers run, and workers die seldom.
  local ids = redis.call('ZRANGE', key('running'), 0, -1)
  read_jobs(ids)
  for _, id in ipairs(ids) do
    if jobs[id][STATE] == 'running' and holder_in(jobs[id][CLAIM]) == holder then
      found[#found + 1] = jobs[id]
    end
  end
  table.sort(found, function(a, b) return a[SEQ] < b[SEQ] end)
  for _, job in ipairs(found) do
    forsake(job, failure, counted)
    if job[STATE] == 'ready' then
      returned[#returned + 1] = job[ID]
    elseif job[STATE] == 'dead' then
      dead[#dead + 1] = job[ID]
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
        states[#states + 1] = {id, job[STATE]}
      end
    end
  end
  return {states, changed}
end

local function cancel_jobs(ids, reason)
  return change(ids, function(job)
    if waits(job[STATE]) then
      cancel(job, 'cancelled', reason)
      return true
    elseif job[STATE] == 'running' and not job[CANCELLING] then
      touch(job)
      job[CANCELLING] = reason
      return true
    end
  end)
end

local function redrive(job)
  local rival = rival_of(job)
  if rival then
    refuse('key-held', job[UNIQUE], rival[ID], rival[STATE])
  end
  touch(job)
  tell(job, job[ATTEMPT], failure_text('redriven', 'its attempts start anew'), false)
  failures[job[ID]] = false
  -- Whoever redrives a job wants it to run, however late that is.
  job[EXPIRES], job[FINISHED], job[KEPT], job[CAUSE] = false, false, false, false
  job[ATTEMPT], job[LOST] = 0, 0
  move(job, 'ready')
end

local function retry_jobs(ids)
  return change(ids, function(job)
    if job[STATE] == 'scheduled' then
      postpone(job, now)
      return true
    elseif job[STATE] == 'dead' then
      redrive(job)
      return true
    end
  end)
end

local function purge_jobs(ids)
  return change(ids, function(job)
    if waits(job[STATE]) then
      cancel(job, 'purged', '')
      return true
    elseif not LIVE[job[STATE]] then
      erase(job)
      return true
    end
  end)
end

local function edit_jobs(ids, priority, run_at)
  return change(ids, function(job)
    if not waits(job[STATE]) then
      return false
    end
    if priority then
      touch(job)
      job[PRIORITY] = priority
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
