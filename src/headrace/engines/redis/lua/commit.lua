-- Commit: a list of writes, all or none. ARGV[2] is the list; further arguments are values.

local note = key('note:' .. header[3])
local told = redis.call('GET', note)
if told then
  return told  -- the answer to this very commit was lost on its way
end

let_time_pass()

local function carry_out(writes)
  local answers = {}
  for at, write in ipairs(writes) do
    answers[at] = VERBS[write[1]](unpack(write, 2, 6))
  end
  return answers
end

local done, answer = pcall(carry_out, cmsgpack.unpack(ARGV[2]))
if done then
  flush()
  told = cmsgpack.pack({true, answer})
  redis.call('SET', note, told, 'EX', NOTE_SECONDS)
  return told
elseif type(answer) == 'table' and answer.refusal then
  return cmsgpack.pack({false, answer.refusal})
end
error(answer)
