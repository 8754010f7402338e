-- Stores a coordinator's record.
--
-- KEYS: ls:coordinators
-- ARGV: coordinator, record (JSON)
-- Replies: OK
-- Idempotent. The time is Redis'.

local record = cjson.decode(ARGV[2])
local time = redis.call('TIME')
record.beat = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(record))
return redis.status_reply('OK')
