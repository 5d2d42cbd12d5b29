-- Unit: what one script call has read and changed, written in one go at its end.
--
-- Redis does not roll back. So nothing is written while writes are carried out: jobs, queues,
-- entries and keys are read into tables and changed there. A refusal drops the tables; `flush`
-- writes them, and nothing in it can be refused.
--
-- KEYS[1] is the prefix of all keys. ARGV[1] is the header: {now, monotonic, note, run, floor}. The
-- first two are false, which means this server's clock, unless a test moves the time; `note` names
-- the request, `run` this start of the server, and no token below `floor` is new.

local header = cmsgpack.unpack(ARGV[1])
local server_time = redis.call('TIME')
local microseconds = tonumber(server_time[1]) * 1e6 + tonumber(server_time[2])
local now = header[1] or microseconds / 1e6
local monotonic = header[2] or now

local NOTE_SECONDS = 120  -- longer than anybody asks again
local FIRST_ATTEMPTS_KEPT, LAST_ATTEMPTS_KEPT = 10, 40  -- those of `record.py`
local ARGUMENTS = 4000  -- one call takes at most some 8,000, the limit of `unpack`
local LIVE = {scheduled = true, ready = true, running = true}
local SHELF = {
  scheduled = 'live', ready = 'live', running = 'live', succeeded = 'succeeded',
  cancelled = 'cancelled', dead = 'dead',
}

local jobs, stored, was, dirty = {}, {}, {}, {}
local queues, uniques, entries = {}, {}, {}
local erased, texts, results = {}, {}, {}
local failures, histories, lease_ends = {}, {}, {}
local meta = {}

local PREFIX = KEYS[1] .. ':'
local JOB = PREFIX .. 'job:'

local function key(name)
  return PREFIX .. name
end

-- Returns a number as a text; the server would write it out each time it is given.
local written = {}
local function text_of(number)
  local text = written[number]
  if not text then
    text = string.format('%.17g', number)
    written[number] = text
  end
  return text
end

local function forget_unit()
  jobs, stored, was, dirty = {}, {}, {}, {}
  queues, uniques, entries = {}, {}, {}
  erased, texts, results = {}, {}, {}
  failures, histories, lease_ends = {}, {}, {}
  meta = {}
end

-- Calls a command with very many arguments, a part of them at a time; `width` of them belong
-- together.
local function call_in_parts(command, first, list, width)
  local step = ARGUMENTS - ARGUMENTS % width
  for from = 1, #list, step do
    local to = math.min(from + step - 1, #list)
    if first then
      redis.call(command, first, unpack(list, from, to))
    else
      redis.call(command, unpack(list, from, to))
    end
  end
end

-- Returns the texts under keys that begin alike and end with ids, all of them at once.
local function read_many(first, ids)
  local texts
  for from = 1, #ids, ARGUMENTS do
    local keys, to = {}, math.min(from + ARGUMENTS - 1, #ids)
    for at = from, to do
      keys[at - from + 1] = first .. ids[at]
    end
    local part = redis.call('MGET', unpack(keys))
    for at = 1, texts and #part or 0 do
      texts[from + at - 1] = part[at]
    end
    texts = texts or part
  end
  return texts or {}
end

-- Jobs ---------------------------------------------------------------------------------------------

-- A job is a list of these fields; Python reads it, too. What is not there is `false`, and is left
-- out at the end of what is stored: most jobs have none of the later ones. The id is in the key.
local STATE, QUEUE, SEQ, TASK, PRIORITY, SIZE, ACCEPTED, ATTEMPT = 1, 2, 3, 4, 5, 6, 7, 8
local LOST, TOKEN, CLAIM, FINISHED, KEPT, CAUSE, RUN_AT, EXPIRES = 9, 10, 11, 12, 13, 14, 15, 16
local CANCELLING, LEASE, KEEP, KEEP_DEAD, UNIQUE, ORDER = 17, 18, 19, 20, 21, 22
local SKIP, TAGS, SECONDS, ID = 23, 24, 25, 26

-- Reads jobs that were not read before, all in one call.
local function read_jobs(ids)
  local missing = {}
  for _, id in ipairs(ids) do
    if jobs[id] == nil then
      jobs[id] = false
      missing[#missing + 1] = id
    end
  end
  for at, text in ipairs(read_many(JOB, missing)) do
    local id = missing[at]
    stored[id] = text
    if text then
      local job = cmsgpack.unpack(text)
      job[ID] = id
      jobs[id] = job
    end
  end
end

local function job_of(id)
  if jobs[id] == nil then
    read_jobs({id})
  end
  return jobs[id]
end

local function packed(job)
  local id, last = job[ID], SECONDS
  job[ID] = nil
  while not job[last] do
    job[last] = nil
    last = last - 1
  end
  for at = CLAIM + 1, last do
    job[at] = job[at] or false
  end
  local text = cmsgpack.pack(job)
  job[ID] = id
  return text
end

-- Notes what of a job decides where it is, before it is changed.
local function touch(job)
  local id = job[ID]
  if not was[id] then
    was[id] = stored[id] and {job[STATE], job[RUN_AT], job[EXPIRES], job[KEPT], job[PRIORITY],
      job[LOST]} or {}
    dirty[#dirty + 1] = id
  end
end

-- The rest of the unit -----------------------------------------------------------------------------

local function meta_of(name)
  if meta[name] == nil then
    meta[name] = redis.call('HGET', key('meta'), name)
  end
  return meta[name]
end

local function count_up(name, by)
  meta[name] = (tonumber(meta_of(name)) or 0) + by
  return meta[name]
end

local QUEUE_FIELDS = {
  'ready', 'scheduled', 'running', 'bytes', 'paused', 'max_depth', 'max_bytes',
  'drain_since', 'drain_at', 'drain_weight',
}

local function queue_of(name)
  local queue = queues[name]
  if not queue then
    local values = redis.call('HMGET', key('queue:' .. name), unpack(QUEUE_FIELDS))
    queue = {name = name, known = values[1] and true}
    for at, field in ipairs(QUEUE_FIELDS) do
      queue[field] = tonumber(values[at]) or 0
    end
    queue.max_depth = tonumber(values[6]) or false
    queue.max_bytes = tonumber(values[7]) or false
    queues[name] = queue
  end
  return queue
end

-- Returns the id of the live job that holds a unique key, or false.
local function holder_of(unique)
  if uniques[unique] == nil then
    uniques[unique] = {id = redis.call('HGET', key('unique'), unique)}
  end
  return uniques[unique].id
end

local function hold(unique, id)
  holder_of(unique)
  uniques[unique] = {id = id, changed = true}
end

local function entry_of(name)
  if entries[name] == nil then
    local text = redis.call('HGET', key('entries'), name)
    entries[name] = {kept = text and cmsgpack.unpack(text)}
  end
  local kept = entries[name].kept
  return kept and not (kept[2] and kept[2] <= now) and kept
end

-- Flushing -----------------------------------------------------------------------------------------

local added, removed, groups

local function place(set, score, member)
  local list = added[set]
  if not list then
    list = {}
    added[set] = list
  end
  list[#list + 1] = score
  list[#list + 1] = member
end

local function take(set, member)
  local list = removed[set]
  if not list then
    list = {}
    removed[set] = list
  end
  list[#list + 1] = member
end

local function write_sets()
  for set, list in pairs(removed) do
    call_in_parts('ZREM', key(set), list, 1)
  end
  for set, list in pairs(added) do
    call_in_parts('ZADD', key(set), list, 2)
  end
  added, removed = {}, {}
end

-- Equal priorities sort by age, because the member begins with the job's number.
local function turn_of(job)
  return string.format('%015.0f:%s', job[SEQ], job[ID])
end

local function line_of(job, lost)
  return (lost > 0 and 'suspect:' or 'ready:') .. job[QUEUE]
end

local function group_of(job)
  return job[QUEUE] .. ' ' .. job[ORDER]
end

local function waits(state)
  return state == 'ready' or state == 'scheduled'
end

local function shift(from, to, member, before, score)
  if from and from ~= to then
    take(from, member)
  end
  if to and (from ~= to or before ~= score) then
    place(to, score, member)
  end
end

-- Moves a job between lines: ready jobs without an order key, and heads of groups.
local function shift_line(job, state, priority, lost, lives)
  local is_ready = lives and job[STATE] == 'ready' and not job[ORDER]
  if state ~= 'ready' and not is_ready then
    return
  end
  local to = is_ready and line_of(job, job[LOST])
  -- The head of a group is put in line again by its election.
  shift(state == 'ready' and line_of(job, lost), to, turn_of(job), priority and -priority,
    -job[PRIORITY])
end

-- Moves a job between the sorted sets, from where it was; with `lives`, to where it is.
local function reindex(job, before, lives)
  local id = job[ID]
  local state, run_at, expires, kept, priority, lost = unpack(before, 1, 6)
  local is = lives and job[STATE]
  shift(SHELF[state], SHELF[is], id, job[SEQ], job[SEQ])
  shift_line(job, state, priority, lost, lives)
  if is == 'running' and lease_ends[id] then
    place('running', text_of(lease_ends[id]), id)
  elseif state == 'running' and is ~= 'running' then
    take('running', id)
  end
  if kept or job[KEPT] then
    shift(kept and 'kept', lives and job[KEPT] and 'kept', id, kept and text_of(kept),
      job[KEPT] and text_of(job[KEPT]))
  end
  if run_at or job[RUN_AT] then
    local moment, later = lives and job[RUN_AT], 'later:' .. job[QUEUE]
    shift(run_at and 'scheduled', moment and 'scheduled', id, run_at, moment)
    shift(run_at and later, moment and later, id, run_at, moment)
  end
  if expires or job[EXPIRES] then
    shift(expires and waits(state) and 'expiry', lives and job[EXPIRES] and waits(is) and 'expiry',
      id, expires, job[EXPIRES])
  end
  if job[ORDER] then
    local group = group_of(job)
    groups[group] = true
    shift(LIVE[state] and 'group:' .. group, LIVE[is] and 'group:' .. group, id, job[SEQ], job[SEQ])
  end
  if job[TAGS] and not (state and is) then
    for _, tag in ipairs(job[TAGS]) do
      shift(state and 'tag:' .. tag, is and 'tag:' .. tag, id, job[SEQ], job[SEQ])
    end
  end
end

-- Returns the job of a group that may be claimed: its oldest that does not wait for a moment.
local function head_of(group)
  for from = 0, math.huge, 100 do
    local ids = redis.call('ZRANGE', key('group:' .. group), from, from + 99)
    read_jobs(ids)
    for _, id in ipairs(ids) do
      if jobs[id][STATE] == 'ready' then
        return jobs[id]
      elseif not jobs[id][SKIP] then
        return false
      end
    end
    if #ids < 100 then
      return false
    end
  end
end

-- Puts the head of a group in line, in the place of the one that was its head before.
local function elect(group)
  local front = redis.call('HGET', key('fronts'), group)
  local before = front and job_of(front)
  if before and before[STATE] == 'running' then
    return  -- whoever ends it elects again
  end
  local head = head_of(group)
  if before and before[STATE] == 'ready' and before ~= head then
    take(line_of(before, before[LOST]), turn_of(before))
  end
  if head then
    place(line_of(head, head[LOST]), -head[PRIORITY], turn_of(head))
    redis.call('HSET', key('fronts'), group, head[ID])
  elseif front then
    redis.call('HDEL', key('fronts'), group)
  end
end

local function write_erased()
  local keys = {}
  for _, gone in ipairs(erased) do
    reindex(gone.job, gone.was, false)
    for _, kind in ipairs({'message:', 'job:', 'result:', 'failure:', 'history:'}) do
      keys[#keys + 1] = key(kind .. gone.job[ID])
    end
  end
  call_in_parts('UNLINK', false, keys, 1)
end

-- Adds texts to what is set, by id; `kind` says what of the job they are.
local function gather(list, kind, by_id)
  local first = key(kind)
  for id, text in pairs(by_id) do
    if text then
      list[#list + 1] = first .. id
      list[#list + 1] = text
    end
  end
end

-- Adds to a job's history; of a long one the beginning and the end are kept.
local function write_history(id, past)
  local list = key('history:' .. id)
  call_in_parts('RPUSH', list, past, 1)
  if redis.call('LLEN', list) > FIRST_ATTEMPTS_KEPT + LAST_ATTEMPTS_KEPT then
    local first = redis.call('LRANGE', list, 0, FIRST_ATTEMPTS_KEPT - 1)
    redis.call('LTRIM', list, -LAST_ATTEMPTS_KEPT, -1)
    for at = #first, 1, -1 do
      redis.call('LPUSH', list, first[at])
    end
  end
end

-- Writes jobs, their texts and where they are.
local function write_jobs()
  local list, forgotten = {}, {}
  for _, id in ipairs(dirty) do
    local job = jobs[id]
    if job then
      reindex(job, was[id], true)
      list[#list + 1] = JOB .. id
      list[#list + 1] = packed(job)
    end
  end
  gather(list, 'message:', texts)
  gather(list, 'result:', results)
  gather(list, 'failure:', failures)
  call_in_parts('MSET', false, list, 2)
  for id, text in pairs(failures) do
    if not text then
      forgotten[#forgotten + 1] = key('failure:' .. id)
    end
  end
  call_in_parts('DEL', false, forgotten, 1)
  for id, past in pairs(histories) do
    write_history(id, past)
  end
  write_sets()
  for group in pairs(groups) do
    elect(group)
  end
  write_sets()
end

local function write_queues()
  for name, queue in pairs(queues) do
    if queue.changed then
      local list = {}
      for _, field in ipairs(QUEUE_FIELDS) do
        list[#list + 1] = field
        list[#list + 1] = queue[field] or ''
      end
      redis.call('HSET', key('queue:' .. name), unpack(list))
      if not queue.known then
        redis.call('SADD', key('queues'), name)
      end
    end
  end
end

local function write_entries()
  for name, entry in pairs(entries) do
    if entry.changed and entry.kept then
      redis.call('HSET', key('entries'), name, cmsgpack.pack(entry.kept))
      redis.call('ZADD', key('keys'), 0, name)
      if entry.kept[2] then
        redis.call('ZADD', key('forgetting'), entry.kept[2], name)
      else
        redis.call('ZREM', key('forgetting'), name)
      end
    elseif entry.changed then
      redis.call('HDEL', key('entries'), name)
      redis.call('ZREM', key('keys'), name)
      redis.call('ZREM', key('forgetting'), name)
    end
  end
end

-- Writes everything that was changed, and begins a new unit.
local function flush()
  added, removed, groups = {}, {}, {}
  write_erased()
  write_jobs()
  for unique, holder in pairs(uniques) do
    if holder.changed and holder.id then
      redis.call('HSET', key('unique'), unique, holder.id)
    elseif holder.changed then
      redis.call('HDEL', key('unique'), unique)
    end
  end
  write_queues()
  write_entries()
  for name, value in pairs(meta) do
    if value then
      redis.call('HSET', key('meta'), name, value)
    end
  end
  forget_unit()
end
