-- Raises the format that the cluster writes. It never falls: what was written in a format stays in it.
--
-- KEYS: ls:cluster
-- ARGV: a format that all members read
-- Replies: 1 if the cluster wrote an older one until now
-- Idempotent.

if tonumber(redis.call('HGET', KEYS[1], 'format') or 1) >= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'format', ARGV[1])
return 1
