-- Take a queued job. ARGV: key, worker, message, lease in ms, most attempts, failure if there were more, its seconds
-- -> {token, attempt, lane, remake, suspect, ms it was queued}, or {} where there is nothing to do: taken, done, forgotten or quarantined
local key = ARGV[1]
local state, lane, attempts, queued = unpack(redis.call('HMGET', KEYS[1], 'state', 'lane', 'attempts', 'queued'))
if state ~= 'queued' then return {} end

redis.call('SET', begun_in(lane), queued, 'EX', LIVING)
attempts = tonumber(attempts) + 1
if attempts > tonumber(ARGV[5]) then
  remember(KEYS[1], key, 'quarantined', ARGV[6], tonumber(ARGV[7]))
  return {}
end
local token = math.max(tonumber(redis.call('GET', KEYS[7]) or '0') + 1, time[1] * 1000000 + time[2])
token = string.format('%.0f', token)
redis.call('SET', KEYS[7], token, 'EX', LIVING)
unindex(key)
redis.call('HDEL', KEYS[1], 'lapsed')
redis.call('HSET', KEYS[1], 'state', 'running', 'attempts', attempts, 'token', token, 'started', now,
           'worker', ARGV[2], 'message', ARGV[3])
redis.call('ZADD', KEYS[4], now + tonumber(ARGV[4]), key)
local suspect = redis.call('EXISTS', KEYS[14], KEYS[15]) > 0 and '1' or ''  -- its origin has failed lately
return {token, tostring(attempts), lane, redis.call('HGET', KEYS[1], 'remake') or '', suspect, tostring(now - queued)}
