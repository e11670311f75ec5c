-- How many jobs of a batch run, and how many wait out a back-off. ARGV: unused, batch, most that are looked at
local open = KEYS[16] .. ARGV[2] .. ':open'
local found = {}
for place, index in ipairs({KEYS[4], KEYS[5]}) do
  found[place] = 0
  for _, key in ipairs(redis.call('ZRANGE', index, 0, tonumber(ARGV[3]) - 1)) do
    found[place] = found[place] + redis.call('SISMEMBER', open, key)
  end
end
return found
