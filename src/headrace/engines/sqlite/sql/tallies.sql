select chosen.value, coalesce(tally.attempts, 0)
from json_each(?) chosen left join headrace_tally tally on tally.seq = chosen.value
