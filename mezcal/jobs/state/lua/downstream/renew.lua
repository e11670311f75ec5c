-- Hold the hook for held_ms more. -> 1, or 0 if another one holds it, or nobody does
if redis.call('GET', KEY.holder) ~= ARG.holder then return 0 end
return redis.call('PEXPIRE', KEY.holder, ARG.held_ms)
