-- Scan: entries in order. ARGV[2] is {prefix, after, limit}; answers keys, versions and values.

local PAGE = 1000

local prefix, after, limit = unpack(cmsgpack.unpack(ARGV[2]))
local from = after >= prefix and after ~= '' and '(' .. after or '[' .. prefix
local found = {}
repeat
  local names = redis.call('ZRANGEBYLEX', key('keys'), from, '+', 'LIMIT', 0, PAGE)
  for _, name in ipairs(names) do
    from = '(' .. name
    if string.sub(name, 1, #prefix) ~= prefix or #found == 3 * limit then
      return found
    end
    local entry = entry_of(name)
    if entry then
      found[#found + 1] = name
      found[#found + 1] = entry[1]
      found[#found + 1] = entry[3]
    end
  end
until #names < PAGE
return found
