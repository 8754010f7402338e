-- Creates a Job and claims its name.
--
-- ARGV: uid, namespace, name, object (JSON), header (JSON), lease in ms
-- Replies: {created} | {exists, uid of the Job that has the name}
-- Idempotent by the uid. Claims are refused until the owner's first commit sets `active`.

local uid, ns, name = ARGV[1], ARGV[2], ARGV[3]
local full = ns .. '/' .. name
local holder = redis.call('HGET', NAMES, full)
if holder == uid then return { 'created' } end
if holder then return { 'exists', holder } end

redis.call('HSET', NAMES, full, uid)
redis.call('HSET', job_key(uid), 'ns', ns, 'name', name, 'object', ARGV[4], 'rev', 1, 'header', ARGV[5],
  'lease', ARGV[6], 'active', 0, 'rv', 0, 'fseq', 0)
redis.call('XADD', IN, '*', 't', 'job', 'u', uid)
job_changed('ADDED', uid)
return { 'created' }
