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
local ARGUMENTS = 4000  -- one call takes at most some 8,000, the limit of `unpack`
local LIVE = {scheduled = true, ready = true, running = true}

local jobs, stored, dirty = {}, {}, {}
local queues, uniques, entries = {}, {}, {}
local erased, results, failures, histories = {}, {}, {}, {}
local meta = {}

local function key(name)
  return KEYS[1] .. ':' .. name
end

local function forget_unit()
  jobs, stored, dirty = {}, {}, {}
  queues, uniques, entries = {}, {}, {}
  erased, results, failures, histories = {}, {}, {}, {}
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

local function read_many(kind, ids)
  local texts = {}
  for from = 1, #ids, ARGUMENTS do
    local keys = {}
    for at = from, math.min(from + ARGUMENTS - 1, #ids) do
      keys[#keys + 1] = key(kind .. ':' .. ids[at])
    end
    for _, text in ipairs(redis.call('MGET', unpack(keys))) do
      texts[#texts + 1] = text
    end
  end
  return texts
end

-- Jobs ---------------------------------------------------------------------------------------------

-- The order of a stored job's fields; `false` stands for what is not there. Python reads it, too.
local function packed(job)
  return cmsgpack.pack({
    job.state, job.queue, job.seq, job.task, job.priority, job.size, job.accepted,
    job.attempt, job.lost, job.token, job.claim, job.run_at, job.expires, job.cancelling,
    job.finished, job.kept, job.cause, job.lease, job.keep, job.keep_dead,
    job.unique, job.order, job.skip, job.tags,
  })
end

local function opened(id, text)
  local f = cmsgpack.unpack(text)
  return {
    id = id, state = f[1], queue = f[2], seq = f[3], task = f[4], priority = f[5], size = f[6],
    accepted = f[7], attempt = f[8], lost = f[9], token = f[10], claim = f[11], run_at = f[12],
    expires = f[13], cancelling = f[14], finished = f[15], kept = f[16], cause = f[17],
    lease = f[18], keep = f[19], keep_dead = f[20], unique = f[21], order = f[22], skip = f[23],
    tags = f[24],
  }
end

-- Reads jobs that were not read before, all in one call.
local function read_jobs(ids)
  local missing = {}
  for _, id in ipairs(ids) do
    if jobs[id] == nil then
      jobs[id] = false
      missing[#missing + 1] = id
    end
  end
  for at, text in ipairs(read_many('job', missing)) do
    local id = missing[at]
    stored[id] = text
    jobs[id] = text and opened(id, text)
  end
end

local function job_of(id)
  if jobs[id] == nil then
    read_jobs({id})
  end
  return jobs[id]
end

local function touch(job)
  if not job.touched then
    job.touched = true
    dirty[#dirty + 1] = job.id
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

local added, removed

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

local function shift(from, to, member, was, score)
  if from and from ~= to then
    take(from, member)
  end
  if to and (from ~= to or was ~= score) then
    place(to, score, member)
  end
end

-- Equal priorities sort by age, because the member begins with the job's number.
local function turn_of(job)
  return string.format('%015.0f:%s', job.seq, job.id)
end

local function line_of(job)
  return (job.lost > 0 and 'suspect:' or 'ready:') .. job.queue
end

local function group_of(job)
  return job.queue .. ' ' .. job.order
end

local function shelf_of(job)
  return LIVE[job.state] and 'live' or job.state
end

local function waits(job)
  return job.state == 'ready' or job.state == 'scheduled'
end

-- Moves a job between the sorted sets. `groups` gathers the groups whose head may be another now.
local function reindex(id, old, new, groups)
  local job = new or old
  local was = old or {}
  local is = new or {}
  shift(old and shelf_of(old), new and shelf_of(new), id, was.seq, is.seq)
  shift(was.kept and 'kept', is.kept and 'kept', id, was.kept, is.kept)
  shift(was.run_at and 'scheduled', is.run_at and 'scheduled', id, was.run_at, is.run_at)
  shift(was.run_at and 'later:' .. was.queue, is.run_at and 'later:' .. is.queue, id,
    was.run_at, is.run_at)
  shift(was.expires and waits(was) and 'expiry', is.expires and waits(is) and 'expiry', id,
    was.expires, is.expires)
  if is.state == 'running' and is.lease_until then
    place('running', is.lease_until, id)
  elseif was.state == 'running' and is.state ~= 'running' then
    take('running', id)
  end
  if job.order then
    local group = group_of(job)
    groups[group] = true
    if was.state == 'ready' then
      take(line_of(was), turn_of(was))
    end
    shift(LIVE[was.state] and 'group:' .. group, LIVE[is.state] and 'group:' .. group, id,
      was.seq, is.seq)
  else
    shift(was.state == 'ready' and line_of(was), is.state == 'ready' and line_of(is),
      turn_of(job), -(was.priority or 0), -(is.priority or 0))
  end
  for _, tag in ipairs((not old or not new) and job.tags or {}) do
    shift(old and 'tag:' .. tag, new and 'tag:' .. tag, id, was.seq, is.seq)
  end
end

-- Returns the job of a group that may be claimed: its oldest that does not wait for a moment.
local function head_of(group)
  for from = 0, math.huge, 100 do
    local ids = redis.call('ZRANGE', key('group:' .. group), from, from + 99)
    read_jobs(ids)
    for _, id in ipairs(ids) do
      if jobs[id].state == 'ready' then
        return jobs[id]
      elseif not jobs[id].skip then
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
  if before and before.state == 'running' then
    return  -- whoever ends it elects again
  end
  local head = head_of(group)
  if before and before.state == 'ready' and before ~= head then
    take(line_of(before), turn_of(before))
  end
  if head then
    place(line_of(head), -head.priority, turn_of(head))
    redis.call('HSET', key('fronts'), group, head.id)
  elseif front then
    redis.call('HDEL', key('fronts'), group)
  end
end

local function write_erased()
  local keys = {}
  for id in pairs(erased) do
    for _, kind in ipairs({'message:', 'job:', 'result:', 'failure:', 'history:'}) do
      keys[#keys + 1] = key(kind .. id)
    end
  end
  call_in_parts('UNLINK', false, keys, 1)
end

-- Writes jobs, their texts and where they are.
local function write_jobs()
  local groups, pairs_to_set = {}, {}
  local function set(kind, id, text)
    pairs_to_set[#pairs_to_set + 1] = key(kind .. id)
    pairs_to_set[#pairs_to_set + 1] = text
  end
  for _, id in ipairs(dirty) do
    local job = jobs[id]
    local old = stored[id] and opened(id, stored[id])
    if erased[id] and old then
      reindex(id, old, nil, groups)
      old = nil
    end
    if old or job then
      reindex(id, old, job, groups)
    end
    if job then
      local text = packed(job)
      if text ~= stored[id] or erased[id] then
        set('job:', id, text)
      end
      if job.text then
        set('message:', id, job.text)
      end
    end
  end
  for id, text in pairs(results) do
    set('result:', id, text)
  end
  for id, text in pairs(failures) do
    if text then
      set('failure:', id, text)
    else
      redis.call('DEL', key('failure:' .. id))
    end
  end
  call_in_parts('MSET', false, pairs_to_set, 2)
  for id, list in pairs(histories) do
    call_in_parts('RPUSH', key('history:' .. id), list, 1)
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
  added, removed = {}, {}
  if next(erased) then
    write_erased()
  end
  if #dirty > 0 then
    write_jobs()
  end
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
