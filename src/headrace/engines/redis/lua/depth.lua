-- Depth: how queues are doing. ARGV[2] is the list of their names; all of them if it is empty.

let_time_pass()
local names, statuses = cmsgpack.unpack(ARGV[2]), {}
if #names == 0 then
  names = redis.call('SMEMBERS', key('queues'))
  table.sort(names)
end
for at, name in ipairs(names) do
  local queue = queue_of(name)
  local due = redis.call('ZRANGE', key('later:' .. name), 0, 0, 'WITHSCORES')[2]
  statuses[at] = cmsgpack.pack({
    name, queue.ready, queue.scheduled, queue.running, queue.bytes, queue.paused == 1,
    queue.max_depth, queue.max_bytes, drain_rate(queue),
    due and math.max(0, tonumber(due) - now) or false,
  })
end
return statuses
