-- Founds the cluster that this Redis holds, or joins it.
--
-- KEYS: ls:cluster
-- ARGV: number of shards, or '' to join only; id for a new cluster; the newest format that the founder
--   writes
-- Replies: {number of shards or 0 if there is no cluster, id, the format that the cluster writes}
-- Idempotent: the first number, id and format stay.

if ARGV[1] ~= '' and redis.call('HSETNX', KEYS[1], 'shards', ARGV[1]) == 1 then
  redis.call('HSET', KEYS[1], 'id', ARGV[2], 'format', ARGV[3])
end
local cluster = redis.call('HMGET', KEYS[1], 'shards', 'id', 'format')
return { cluster[1] or '0', cluster[2] or '', cluster[3] or '1' }
