-- Marks a Job as deleted. Its owner stops what runs and purges it when no container is left.
--
-- ARGV: uid
-- Replies: {ok, time of the deletion in ms} | {gone}
-- Idempotent: the first deletion's time stays.

local key = job_key(ARGV[1])
local job = redis.call('HMGET', key, 'rev', 'deleted')
if not job[1] then return { 'gone' } end
if job[2] then return { 'ok', job[2] } end

local time = int(now())
redis.call('HSET', key, 'deleted', time, 'active', 0)
redis.call('HINCRBY', key, 'rev', 1)
redis.call('XADD', IN, '*', 't', 'job', 'u', ARGV[1])
job_changed('MODIFIED', ARGV[1])
return { 'ok', time }
