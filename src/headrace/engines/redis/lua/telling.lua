-- Telling: what the ledger says of a job.

-- Returns why a ready job is not claimed.
local function reason_of(job)
  if job[STATE] ~= 'ready' then
    return ''
  elseif queue_of(job[QUEUE]).paused == 1 then
    return 'queue-paused'
  elseif job[ORDER] and redis.call('HGET', key('fronts'), group_of(job)) ~= job[ID] then
    return 'order-key'
  end
  return ''
end

-- Returns for each job {message, job, reason, result, failure, history, id}.
local function records_of(ids)
  local texts, packs = read_many(key('message:'), ids), read_many(JOB, ids)
  local ended, failed = read_many(key('result:'), ids), read_many(key('failure:'), ids)
  local records = {}
  read_jobs(ids)
  for at, id in ipairs(ids) do
    if jobs[id] then
      local history = redis.call('LRANGE', key('history:' .. id), 0, -1)
      records[#records + 1] = {
        texts[at], packs[at], reason_of(jobs[id]), ended[at], failed[at],
        '[' .. table.concat(history, ',') .. ']', id,
      }
    end
  end
  return records
end
