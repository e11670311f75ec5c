-- End the hold of holder, if it has not ended yet.
if redis.call('GET', KEY.holder) == ARG.holder then redis.call('DEL', KEY.holder) end
return 1
