-- Load: ARGV[2] is a key; answers {its version, its value}, or nothing.

local entry = entry_of(ARGV[2])
return entry and {entry[1], entry[3]}
