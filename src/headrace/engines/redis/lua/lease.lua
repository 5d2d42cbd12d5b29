-- Lease: claims jobs. ARGV[2] is {queues, limit, seconds, claim, claim as JSON}.
-- Answers {leases as JSON, each with its job's id at its end; seconds until a job is due}; the
-- latter is '' if none is scheduled.

local queue_names, limit, seconds, claim, quoted = unpack(cmsgpack.unpack(ARGV[2]))
local note = key('note:' .. header[3])
local run = header[4]

local function leases_of(ids)
  local envelopes, parts = read_many(key('message:'), ids), {}
  local first = job_of(ids[1])  -- one claim has one token, and a suspect is alone
  local middle = string.format(',%.0f,%s,', first[TOKEN], quoted)
  local last = string.format(',%d,0,"', first[LOST])
  for at, id in ipairs(ids) do
    parts[at] = '[' .. (envelopes[at] or 'null') .. middle .. job_of(id)[ATTEMPT] + 1 .. last .. id
      .. '"]'
  end
  return '[' .. table.concat(parts, ',') .. ']'
end

-- The answer to this very claim was lost on its way: what of it still holds is told again.
local told = redis.call('GET', note)
if told then
  local ids = {}
  for _, id in ipairs(cmsgpack.unpack(told)) do
    local job = job_of(id)
    if job and job[STATE] == 'running' and job[CLAIM] == claim then
      ids[#ids + 1] = id
    end
  end
  return {#ids > 0 and leases_of(ids) or '[]', ''}
end

let_time_pass()

local open = {}
for _, name in ipairs(queue_names) do
  if queue_of(name).paused == 0 then
    open[#open + 1] = name
  end
end

local picked = {}

local function id_in(turn)
  return string.sub(turn, 17)
end

-- A job that lost a lease before is given alone, so that it takes no others with it.
local function pick_suspect()
  for _, name in ipairs(open) do
    local turn = redis.call('ZRANGE', key('suspect:' .. name), 0, 0)[1]
    if turn then
      picked[1] = id_in(turn)
      return true
    end
  end
end

-- Two rounds: a fair share of each queue, then what other queues left over.
local function pick_shares()
  local filled, from = {}, {}
  for _, name in ipairs(open) do
    if queue_of(name).ready > 0 then
      filled[#filled + 1] = name
      from[name] = 0
    end
  end
  for _, share in ipairs({math.max(1, math.floor(limit / #filled)), limit}) do
    for _, name in ipairs(filled) do
      local room = math.min(share, limit - #picked)
      if room > 0 then
        local turns = redis.call('ZRANGE', key('ready:' .. name), from[name],
          from[name] + room - 1)
        from[name] = from[name] + #turns
        for _, turn in ipairs(turns) do
          picked[#picked + 1] = id_in(turn)
        end
      end
    end
  end
end

-- Tokens grow by one with each claim.
local function next_token()
  local token = highest_token() + 1
  if meta_of('run') ~= run then
    meta.run = run
  end
  meta.token = string.format('%.0f', token)
  return token
end

if not pick_suspect() then
  pick_shares()
end

local ids = {}
read_jobs(picked)
for _, id in ipairs(picked) do
  if jobs[id][EXPIRES] and jobs[id][EXPIRES] <= now then
    end_late(jobs[id])  -- there are more late ones than one step of time ended
  else
    ids[#ids + 1] = id
  end
end

if #ids > 0 then
  local token = next_token()
  for _, id in ipairs(ids) do
    local job = jobs[id]
    move(job, 'running')
    job[TOKEN], job[CLAIM] = token, claim
    lease_ends[id] = monotonic + (job[LEASE] or seconds)
  end
  local leases = leases_of(ids)
  flush()
  redis.call('SET', note, cmsgpack.pack(ids), 'EX', NOTE_SECONDS)
  return {leases, ''}
end

flush()
local due = redis.call('ZRANGE', key('scheduled'), 0, 0, 'WITHSCORES')[2]
return {'[]', due and string.format('%.17g', math.max(0, tonumber(due) - now)) or ''}
