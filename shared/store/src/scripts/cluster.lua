-- Founds the cluster that this Redis holds, or joins it.
--
-- KEYS: ls:cluster
-- ARGV: number of shards, or '' to join only; id for a new cluster
-- Replies: {number of shards or 0 if there is no cluster, id}
-- Idempotent: the first number and id stay.

if ARGV[1] ~= '' and redis.call('HSETNX', KEYS[1], 'shards', ARGV[1]) == 1 then
  redis.call('HSET', KEYS[1], 'id', ARGV[2])
end
local cluster = redis.call('HMGET', KEYS[1], 'shards', 'id')
return { cluster[1] or '0', cluster[2] or '' }
