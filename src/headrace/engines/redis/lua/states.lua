-- States: ARGV[2] is a list of ids; answers the state of each, '' if it is not known.

let_time_pass()
local ids, states = cmsgpack.unpack(ARGV[2]), {}
read_jobs(ids)
for at, id in ipairs(ids) do
  states[at] = jobs[id] and jobs[id][STATE] or ''
end
return states
