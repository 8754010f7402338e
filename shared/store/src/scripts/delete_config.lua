-- Removes a ConfigMap or a Secret.
--
-- ARGV: uid, expected rev
-- Replies: ok | conflict | gone
-- A repeat finds it gone. The change carries the last state, as it was stored.

local uid = ARGV[1]
local key = config_key(uid)
local config = redis.call('HMGET', key, 'rev', 'kind', 'ns', 'name', 'object')
if not config[1] then return 'gone' end
if config[1] ~= ARGV[2] then return 'conflict' end

config_changed('DELETED', uid, 'o', config[5])
redis.call('HDEL', CONFIGS, config[2] .. '/' .. config[3] .. '/' .. config[4])
redis.call('DEL', key)
return 'ok'
