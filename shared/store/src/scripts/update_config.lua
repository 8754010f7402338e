-- Stores a client's change of a ConfigMap or a Secret.
--
-- ARGV: uid, request id, expected rev, expected resourceVersion or '', object (JSON, or sealed)
-- Replies: ok | conflict | gone
-- Idempotent by the request id of the last change. A resourceVersion is only current when no change waits
-- to be forwarded to the log.

local uid, request, rev, rv = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local key = config_key(uid)
local config = redis.call('HMGET', key, 'rev', 'rv', 'seq', 'fseq', 'req')
if not config[1] then return 'gone' end
if config[5] == request then return 'ok' end
if rev ~= config[1] then return 'conflict' end
if rv ~= '' and (rv ~= config[2] or config[3] ~= config[4]) then return 'conflict' end

redis.call('HSET', key, 'object', ARGV[5], 'rev', int(config[1] + 1), 'req', request)
config_changed('MODIFIED', uid)
return 'ok'
