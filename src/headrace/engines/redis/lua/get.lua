-- Get: all about jobs. ARGV[2] is the list of their ids.

let_time_pass()
return records_of(cmsgpack.unpack(ARGV[2]))
