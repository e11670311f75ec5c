-- The process of ARG.chain has closed the masters of ARG.source: their queued jobs are begun by whoever gets a message.
-- -> {lane, recipe, lane, recipe, ..}: the caller sends the messages
local reading, messages = KEY.reading_prefix .. ARG.source, {}
redis.call('HDEL', reading, 'chain:' .. ARG.chain)
if redis.call('HGET', reading, 'chain') == ARG.chain then redis.call('HDEL', reading, unpack(CHAIN_FIELDS)) end
add_held_messages(ARG.source, messages)
return messages
