-- Shows that the shard's owner is alive.
--
-- ARGV: epoch
-- Replies: 1 | 0: fenced
-- A repeat moves the beat once more, which says the same.

if not owns(ARGV[1]) then return 0 end
redis.call('HINCRBY', META, 'beat', 1)
return 1
