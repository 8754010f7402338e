-- Creates a ConfigMap or a Secret and claims its name.
--
-- ARGV: uid, kind, namespace, name, object (JSON, or sealed)
-- Replies: {created} | {exists}: another has the name
-- Idempotent by the uid.

local uid, kind, ns, name = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local full = kind .. '/' .. ns .. '/' .. name
local holder = redis.call('HGET', CONFIGS, full)
if holder == uid then return { 'created' } end
if holder then return { 'exists' } end

redis.call('HSET', CONFIGS, full, uid)
redis.call('HSET', config_key(uid), 'kind', kind, 'ns', ns, 'name', name, 'object', ARGV[5], 'rev', 1,
  'rv', 0, 'fseq', 0)
config_changed('ADDED', uid)
return { 'created' }
