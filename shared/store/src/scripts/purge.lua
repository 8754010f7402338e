-- Removes a Job, in bounded steps: each bucket of its history, then the rest.
--
-- ARGV: epoch, uid, the number of a bucket or `rest`
-- Replies: 1 | 0: fenced
-- Idempotent. Watchers are told of each Pod that goes, with its last record, and last of the Job. The
-- first step tells them the Job's object, as its Pods can't be drawn without it.

if not owns(ARGV[1]) then return 0 end
local uid, step = ARGV[2], ARGV[3]
local key = job_key(uid)
local job = redis.call('HMGET', key, 'object', 'ns', 'name', 'purging')
if not job[1] then return 1 end
if not job[4] then
  redis.call('HSET', key, 'purging', 1, 'active', 0)
  changed('Job', 'MODIFIED', uid, 'o', job[1])
end

if step ~= 'rest' then
  local hist = P .. 'hist:' .. uid .. ':' .. step
  local all = redis.call('HGETALL', hist)
  for n = 1, #all, 2 do
    local index, attempt = string.match(all[n], '^(%d+)%.(%d+)$')
    -- Of those that a client deleted watchers were told before.
    if not cjson.decode(all[n + 1]).del then changed('Pod', 'DELETED', uid, 'i', index, 'n', attempt, 'o', all[n + 1]) end
  end
  redis.call('DEL', hist)
  redis.call('SETBIT', P .. 'buckets:' .. uid, step, 0)
  return 1
end

local live = redis.call('HGETALL', P .. 'live:' .. uid)
for n = 1, #live, 2 do
  local record = cjson.decode(live[n + 1])
  if record.s == 'C' then let_go(record.ses, uid, live[n]) end
  -- A waiting index has no Pod, and a finished one's went with its history.
  if record.s == 'C' or record.s == 'O' then
    changed('Pod', 'DELETED', uid, 'i', live[n], 'n', int(record.n), 'o', live[n + 1])
  end
end
changed('Job', 'DELETED', uid, 'o', job[1])
local full = job[2] .. '/' .. job[3]
if redis.call('HGET', NAMES, full) == uid then redis.call('HDEL', NAMES, full) end
redis.call('DEL', key, P .. 'done:' .. uid, P .. 'failed:' .. uid, P .. 'live:' .. uid, P .. 'buckets:' .. uid, P .. 'events:' .. uid)
return 1
