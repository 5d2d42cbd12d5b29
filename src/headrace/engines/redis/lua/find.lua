-- Find: a page of jobs, newest first.
-- ARGV[2] is {states, queues, tasks, tags, cause, limit, below, brief}.
-- Looks at a bounded number of jobs, and answers {where it stopped, records}; '' means the end. A
-- brief answer has {id, number} for each job instead of its record.

local LOOK = 1000

local states, wanted_queues, tasks, tags, cause, limit, below, brief =
  unpack(cmsgpack.unpack(ARGV[2]))

local function set_of(list)
  local set = {}
  for _, word in ipairs(list) do
    set[word] = true
  end
  return #list > 0 and set
end

local in_state, in_queue, of_task = set_of(states), set_of(wanted_queues), set_of(tasks)

-- Returns the sorted sets, by number, that together hold all jobs that may fit.
local function shelves()
  if #tags > 0 then
    return {'tag:' .. tags[1]}
  end
  local found, seen = {}, {}
  for _, state in ipairs({'ready', 'scheduled', 'running', 'succeeded', 'cancelled', 'dead'}) do
    local shelf = LIVE[state] and 'live' or state
    local fits = not in_state or in_state[state]
    if fits and not seen[shelf] and not (cause and (LIVE[state] or state == 'succeeded')) then
      seen[shelf] = true
      found[#found + 1] = shelf
    end
  end
  return found
end

local function has_tags(job)
  local own = set_of(job[TAGS] or {}) or {}
  for _, tag in ipairs(tags) do
    if not own[tag] then
      return false
    end
  end
  return true
end

local function fits(job)
  return (not in_state or in_state[job[STATE]]) and (not in_queue or in_queue[job[QUEUE]])
    and (not of_task or of_task[job[TASK]]) and has_tags(job)
    and (not cause or (not LIVE[job[STATE]] and job[CAUSE] == cause))
end

let_time_pass()
local candidates = {}
for _, shelf in ipairs(shelves()) do
  local found = redis.call('ZREVRANGEBYSCORE', key(shelf), below and '(' .. below or '+inf', '-inf',
    'WITHSCORES', 'LIMIT', 0, LOOK)
  for at = 1, #found, 2 do
    candidates[#candidates + 1] = {found[at], tonumber(found[at + 1])}
  end
end
table.sort(candidates, function(a, b) return a[2] > b[2] end)

local look, looked, found, pairs_found, stopped = {}, math.min(#candidates, LOOK), {}, {}, ''
for at = 1, looked do
  look[at] = candidates[at][1]
end
read_jobs(look)
for at, id in ipairs(look) do
  if fits(jobs[id]) then
    found[#found + 1] = id
    pairs_found[#found] = {id, string.format('%.0f', candidates[at][2])}
    if #found == limit then
      looked = at
      break
    end
  end
end
if looked < #candidates or looked == LOOK then
  stopped = string.format('%.0f', candidates[looked][2])
end
return {stopped, brief and pairs_found or records_of(found)}
