-- Gives a shard back: without an owner's name it is taken at once.
--
-- ARGV: epoch
-- Replies: 1 | 0: fenced
-- Idempotent.

if not owns(ARGV[1]) then return 0 end
redis.call('HSET', META, 'owner', '')
return 1
