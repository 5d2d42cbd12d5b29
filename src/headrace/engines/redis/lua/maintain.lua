-- Maintain: a step of housekeeping. Answers {reclaimed, expired, pruned, more}.

let_time_pass()

local lapsed = rung('running', monotonic)
read_jobs(lapsed)
for _, id in ipairs(lapsed) do
  local failure = {cause = 'lease-lost', message = 'its lease ended without a heartbeat'}
  forsake(jobs[id], failure, true)
end
flush()

for _, name in ipairs(rung('forgetting', now)) do
  entries[name] = {kept = false, changed = true}
end

local outlived = rung('kept', now)
read_jobs(outlived)
for _, id in ipairs(outlived) do
  erase(jobs[id])
end

local expired = tonumber(meta_of('expired')) or 0
meta.expired = expired > 0 and 0
flush()
if #lapsed + expired + #outlived > 0 then
  redis.call('PUBLISH', key('hints'), 'maintenance ready finished')
end
return {#lapsed, expired, #outlived, (#outlived == STEP or #lapsed == STEP) and 1 or 0}
