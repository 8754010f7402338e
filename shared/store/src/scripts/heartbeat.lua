-- Stores a worker's record.
--
-- KEYS: ls:nodes
-- ARGV: worker, record (JSON)
-- Replies: {verb for the change log or '' if only times and counts have changed, 1 if it is cordoned}
-- Idempotent. A user's cordon stays, and the time is Redis'.

local old = redis.call('HGET', KEYS[1], ARGV[1])
old = old and cjson.decode(old)
local node = cjson.decode(ARGV[2])
local time = redis.call('TIME')
node.beat = time[1] * 1000 + math.floor(time[2] / 1000)
node.unschedulable = old and old.unschedulable or false
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(node))

local verb = old and '' or 'ADDED'
if old then
  for field, value in pairs(node) do
    if field ~= 'beat' and field ~= 'running' and old[field] ~= value then verb = 'MODIFIED' end
  end
end
return { verb, node.unschedulable and 1 or 0 }
