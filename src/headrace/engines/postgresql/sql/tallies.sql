select chosen.seq, coalesce(tally.attempts, 0)
from unnest($1::text::bigint[]) as chosen (seq)
left join headrace.tally tally on tally.seq = any (array[chosen.seq])
