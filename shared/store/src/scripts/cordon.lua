-- Sets whether a worker takes new attempts.
--
-- KEYS: ls:nodes
-- ARGV: worker, 1 to cordon it or 0
-- Replies: 1 | 0: there is no worker of that name
-- Idempotent.

local node = redis.call('HGET', KEYS[1], ARGV[1])
if not node then return 0 end
node = cjson.decode(node)
node.unschedulable = ARGV[2] == '1'
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(node))
return 1
