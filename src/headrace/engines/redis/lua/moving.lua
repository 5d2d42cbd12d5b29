-- Moving: jobs and entries leave for another engine as cargo, or arrive from one.

-- What a message becomes in cargo -------------------------------------------------------------------

-- Returns where the text that begins with the quote at `from` ends.
local function end_of_text(json, from)
  local at = from + 1
  while true do
    at = string.find(json, '["\\]', at)
    if string.byte(json, at) == 34 then
      return at
    end
    at = at + 2
  end
end

-- Returns the members of a JSON object as they are written, but for those named; cjson would change
-- numbers and empty lists.
local function members_without(json, names)
  local members, depth, from, at = {}, 0, 2, 1
  while at do
    local sign = string.sub(json, at, at)
    if sign == '"' then
      at = end_of_text(json, at)
    elseif sign == '{' or sign == '[' then
      depth = depth + 1
    else
      if depth == 1 then
        local member = string.sub(json, from, at - 1)
        if not names[string.match(member, '^"([^"]*)"')] then
          members[#members + 1] = member
        end
        from = at + 1
      end
      depth = depth - (sign == ',' and 0 or 1)
    end
    at = string.find(json, '[,"{}%[%]]', at + 1)
  end
  return members
end

-- Returns the fields of a job's message, if `known`, the version and its fields, can read it.
local function fields_of(job, json, known)
  local done, fields = pcall(cjson.decode, json or '')
  if not done or type(fields) ~= 'table' then
    return false
  end
  for name in pairs(fields) do
    if not known[name] then
      return false
    end
  end
  return fields.v == known.v and fields.id == job[ID] and fields.task == job[TASK] and fields
end

-- Returns the envelope of a job with the priority that holds, and no expiry that holds no more.
local function cargo_message(job, json, fields)
  local ageless = waits(job[STATE]) and not job[EXPIRES]
  if (fields.priority or 0) == job[PRIORITY]
    and not (ageless and (fields.expires or fields.expires_after)) then
    return json
  end
  local members = members_without(json,
    {priority = true, expires = ageless, expires_after = ageless})
  if job[PRIORITY] ~= 0 then
    members[#members + 1] = string.format('"priority":%d', job[PRIORITY])
  end
  return '{' .. table.concat(members, ',') .. '}'
end

-- Departing: jobs ----------------------------------------------------------------------------------

local function text_about(kind, pending, id)
  if pending[id] ~= nil then
    return pending[id]
  end
  return redis.call('GET', key(kind .. id))
end

local function history_of(id)
  local past = redis.call('LRANGE', key('history:' .. id), 0, -1)
  for _, attempt in ipairs(histories[id] or {}) do
    past[#past + 1] = attempt
  end
  return past
end

-- Returns why a job failed; while it waits, that is why its last run did.
local function failure_of(job, past)
  local failure = text_about('failure:', failures, job[ID])
  if not failure and waits(job[STATE]) and #past > 0 then
    return string.match(past[#past], '"failure":(.*)}$')
  end
  return failure
end

-- Returns a job as JSON, as `cargo.py` reads it.
local function record_of(job, known)
  local id = job[ID]
  local message = text_about('message:', texts, id)
  local fields = fields_of(job, message, known)
  if not fields then
    refuse('unreadable', id)
  end
  local past = history_of(id)
  local members = {
    '"message":' .. cargo_message(job, message, fields), '"state":"' .. job[STATE] .. '"',
    '"accepted_at":' .. text_of(job[ACCEPTED]), '"attempt":' .. text_of(job[ATTEMPT]),
    '"lost":' .. text_of(job[LOST]), '"history":[' .. table.concat(past, ',') .. ']',
  }
  local rest = {
    run_at = job[RUN_AT] and text_of(job[RUN_AT]),
    finished_at = job[FINISHED] and text_of(job[FINISHED]),
    kept_until = job[KEPT] and text_of(job[KEPT]),
    result = text_about('result:', results, id), failure = failure_of(job, past),
    seconds = job[SECONDS] and text_of(job[SECONDS]),
  }
  for name, value in pairs(rest) do
    if value then
      members[#members + 1] = '"' .. name .. '":' .. value
    end
  end
  return '{' .. table.concat(members, ',') .. '}'
end

-- Forgets a job without ending it.
local function leave(job)
  touch(job)
  if LIVE[job[STATE]] then
    local queue = queue_of(job[QUEUE])
    queue[job[STATE]] = queue[job[STATE]] - 1
    queue.bytes = queue.bytes - job[SIZE]
    queue.changed = true
    if job[UNIQUE] then
      hold(job[UNIQUE], false)
    end
  end
  erase(job)
end

-- Returns the oldest jobs that fit: of those in sorted sets, and of those this commit has changed.
local function oldest(shelves, limit, fits)
  local found, seen = {}, {}
  local function look_at(ids)
    read_jobs(ids)
    for _, id in ipairs(ids) do
      if jobs[id] and not seen[id] and fits(jobs[id]) then
        found[#found + 1] = jobs[id]
        seen[id] = true
      end
    end
  end
  for _, shelf in ipairs(shelves) do
    local from, enough = 0, #found + limit
    repeat
      local ids = redis.call('ZRANGE', key(shelf), from, from + limit - 1)
      look_at(ids)
      from = from + limit
    until #ids < limit or #found >= enough
  end
  look_at(dirty)
  table.sort(found, function(a, b) return a[SEQ] < b[SEQ] end)
  return found
end

local function is_paused(job)
  return queue_of(job[QUEUE]).paused == 1
end

local function runs(group)
  local front = redis.call('HGET', key('fronts'), group)
  local job = front and job_of(front)
  return job and job[STATE] == 'running'
end

-- Returns how many unfinished jobs there are, and how many of them wait in paused queues.
local function count_live()
  local all, paused = 0, 0
  for _, name in ipairs(redis.call('SMEMBERS', key('queues'))) do
    queue_of(name)
  end
  for _, queue in pairs(queues) do
    all = all + queue.ready + queue.scheduled + queue.running
    paused = paused + (queue.paused == 1 and queue.ready + queue.scheduled or 0)
  end
  return all, paused
end

-- Returns the jobs that may leave: the oldest that wait, or else the oldest that are finished.
local function movable(limit, waiting)
  local found = {}
  if waiting > 0 then
    local held = {}
    found = oldest({'live'}, limit, function(job)
      if not (waits(job[STATE]) and is_paused(job)) then
        return false
      end
      local group = job[ORDER] and group_of(job)
      if group and held[group] == nil then
        held[group] = runs(group)
      end
      return not (group and held[group])
    end)
  end
  if #found == 0 then
    found = oldest({'succeeded', 'cancelled', 'dead'}, limit, function(job)
      return not LIVE[job[STATE]] and is_paused(job)
    end)
  end
  return found
end

-- Returns the first of some things as JSON, as many as may leave; one leaves whatever it weighs.
local function load_up(things, limit, nbytes, describe)
  local load, weight = {}, 0
  for at = 1, math.min(#things, limit) do
    local text = describe(things[at])
    weight = weight + #text
    if at > 1 and weight > nbytes then
      break
    end
    load[at] = text
  end
  return load
end

-- Departing: entries -------------------------------------------------------------------------------

local SIGNS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

-- Returns every pair of signs, by its number: three bytes are two pairs.
local function pairs_of_signs()
  local found = {}
  for number = 0, 4095 do
    local high, low = math.floor(number / 64) + 1, number % 64 + 1
    found[number] = string.sub(SIGNS, high, high) .. string.sub(SIGNS, low, low)
  end
  return found
end

-- Returns bytes as base64.
local function base64(bytes, two_signs)
  local out, count = {}, 0
  local missing = -#bytes % 3
  local whole = bytes .. string.rep('\0', missing)
  for at = 1, #whole, 3 do
    local a, b, c = string.byte(whole, at, at + 2)
    local low = b % 16
    out[count + 1] = two_signs[a * 16 + (b - low) / 16]
    out[count + 2] = two_signs[low * 256 + c]
    count = count + 2
  end
  return string.sub(table.concat(out), 1, -1 - missing) .. string.rep('=', missing)
end

local function keepsake_of(name, two_signs)
  local version, expires, value = unpack(entry_of(name))
  return string.format('{"key":%s,"value":"%s","version":%.0f%s}', cjson.encode(name),
    base64(value, two_signs), version, expires and ',"expires":' .. text_of(expires) or '')
end

-- Returns the first names of entries, but for those of the move itself.
local function movable_entries(limit, staying)
  local found, seen, from = {}, {}, '-'
  local function look_at(name)
    if string.sub(name, 1, #staying) ~= staying and not seen[name] and entry_of(name) then
      found[#found + 1] = name
      seen[name] = true
    end
  end
  repeat
    local names = redis.call('ZRANGEBYLEX', key('keys'), from, '+', 'LIMIT', 0, limit)
    for _, name in ipairs(names) do
      look_at(name)
      from = '(' .. name
    end
  until #names < limit or #found >= limit
  local pending = {}
  for name in pairs(entries) do
    pending[#pending + 1] = name
  end
  for _, name in ipairs(pending) do
    look_at(name)
  end
  table.sort(found)
  return found
end

-- The two writes -----------------------------------------------------------------------------------

local function depart(name, limit, nbytes, staying, known)
  local all, waiting = count_live()
  local leaving, names, two_signs = movable(limit, waiting), {}, nil
  local records = load_up(leaving, limit, nbytes, function(job) return record_of(job, known) end)
  if #records == 0 and all == 0 then
    names, two_signs = movable_entries(limit, staying), pairs_of_signs()
  end
  local keepsakes = load_up(names, limit, nbytes, function(at) return keepsake_of(at, two_signs) end)
  if #records + #keepsakes == 0 then
    return {0, 0}
  end
  for at = 1, #records do
    leave(leaving[at])
  end
  for at = 1, #keepsakes do
    delete(names[at])
  end
  checked(name, 0)
  local cargo = string.format('{"token":%.0f,"jobs":[', highest_token())
    .. table.concat(records, ',') .. '],"entries":[' .. table.concat(keepsakes, ',') .. ']}'
  entries[name] = {kept = {1, false, cargo}, changed = true}
  return {#records, #keepsakes}
end

-- Takes in a job; what it is about is listed in `asking.py`.
local function restore_job(f)
  local job = new_job(f[1])
  local id, state = job[ID], f[2]
  if jobs[id] then
    refuse('id-taken', id)
  end
  local rival = LIVE[state] and rival_of(job)
  if rival then
    refuse('key-held', job[UNIQUE], rival[ID], rival[STATE])
  end
  job[ACCEPTED], job[EXPIRES], job[ATTEMPT], job[LOST] = f[3], f[4], f[6], f[7]
  job[RUN_AT], job[FINISHED], job[KEPT], job[CAUSE] = false, f[8], f[9], f[10]
  job[SECONDS] = f[14]
  jobs[id], texts[id] = job, f[1][4]
  if f[11] then
    results[id] = f[11]
  end
  if f[12] then
    failures[id] = f[12]
  end
  for _, attempt in ipairs(f[13]) do
    tell(job, unpack(attempt))
  end
  if LIVE[state] then
    postpone(job, f[5] or now)
  else
    move(job, state)
  end
end

local function restore(token, list, keepsakes)
  local ids = {}
  for at, f in ipairs(list) do
    ids[at] = f[1][1]
  end
  read_jobs(ids)
  meta.token = string.format('%.0f', math.max(tonumber(meta_of('token')) or 0, token))
  for _, f in ipairs(list) do
    restore_job(f)
  end
  for _, kept in ipairs(keepsakes) do
    local name, version, expires, blob = unpack(kept)
    if not entry_of(name) then
      entries[name] = {kept = {version, expires, ARGV[blob]}, changed = true}
    end
  end
  return false
end

VERBS.depart, VERBS.restore = depart, restore
