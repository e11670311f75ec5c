-- Forget a job whatever it is: a running one is fenced off, those who wait ask anew. ARGV: key -> 1 if it was known
tell(KEYS[1], ARGV[1], 'forgotten')
local known = redis.call('DEL', KEYS[1])
unindex(ARGV[1])
redis.call('PUBLISH', KEYS[8], ARGV[1])
return known
