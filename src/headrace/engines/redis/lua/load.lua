-- Load: ARGV[2] is a list of keys; answers {its version, its value} for each, or nothing.

local found = {}
for at, name in ipairs(cmsgpack.unpack(ARGV[2])) do
  local entry = entry_of(name)
  found[at] = entry and {entry[1], entry[3]}
end
return found
