-- Shared by all scripts over a shard; put in front of each.
--
-- KEYS[1] is the shard's prefix, `ls:{07}:`. It carries the shard's hash tag, and every other key is
-- made from it, so all keys of a script are in one slot. src/keys.rs says what each key holds.
--
-- Records are JSON. Numbers in them are below 2^53 and at most 14 digits long, which cjson writes
-- exactly; tokens are longer and are strings.

local P = KEYS[1]
local META, NAMES, IN, OUT = P .. 'meta', P .. 'names', P .. 'in', P .. 'out'
local WORKERS, SESSIONS, CONFIGS = P .. 'workers', P .. 'sessions', P .. 'configs'
local BUCKET = 256

-- Milliseconds since the epoch by Redis' clock.
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- A number as an integer in text.
local function int(number)
  return string.format('%.0f', number)
end

-- The run of Redis that this script is part of: from the start of a server, or from its taking over from
-- its master, to its end. What was acknowledged in one run may be missing in the next. The replication id
-- names it: a server takes a new one at each start and each time it becomes a master, so it is new also
-- where a run id would come again, in a process that was a master, a replica and a master again. (It
-- changes at harmless times too, as when a master gets its first replica.)
local function server_run()
  return string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
end

-- An owner's epoch: its number, and the run of Redis under which it began, as the number alone would come
-- again when Redis is started with an older file.
local function epoch_of(number, run)
  return number .. '@' .. run
end

-- Whether `epoch` is the owner's, and Redis has not been restarted since it loaded the shard: after a
-- restart Redis may lack what the owner believes to be stored.
local function owns(epoch)
  local meta, run = redis.call('HMGET', META, 'epoch', 'base'), server_run()
  return meta[2] == run and epoch_of(meta[1], run) == epoch
end

local function job_key(uid)
  return P .. 'job:' .. uid
end

local function get_live(uid, index)
  local json = redis.call('HGET', P .. 'live:' .. uid, index)
  return json and cjson.decode(json) or nil
end

local function put_live(uid, index, live)
  redis.call('HSET', P .. 'live:' .. uid, index, cjson.encode(live))
end

-- The record of a claimed attempt, if `token` is the one it was granted with.
local function get_claimed(uid, index, attempt, token)
  local live = get_live(uid, index)
  if live and live.s == 'C' and live.n == tonumber(attempt) and live.t == token then
    return live
  end
  return nil
end

local function hist_key(uid, index)
  return P .. 'hist:' .. uid .. ':' .. int(math.floor(index / BUCKET))
end

-- Puts a report into the stream that the owner reads.
local function tell(kind, uid, index, attempt, data)
  redis.call('XADD', IN, '*', 't', kind, 'u', uid, 'i', index, 'n', attempt, 'd', cjson.encode(data))
end

-- Puts a change into the stream that is forwarded to the change log. `...` are further fields.
local function changed(kind, verb, uid, ...)
  local job = redis.call('HMGET', job_key(uid), 'ns', 'name')
  redis.call('XADD', OUT, '*', 'k', kind, 'v', verb, 'u', uid, 'ns', job[1] or '', 'name', job[2] or '', ...)
end

local function pod_changed(verb, uid, index, attempt)
  changed('Pod', verb, uid, 'i', index, 'n', attempt)
end

local function job_changed(verb, uid)
  local seq = redis.call('HINCRBY', job_key(uid), 'seq', 1)
  changed('Job', verb, uid, 'q', int(seq))
end

local function config_key(uid)
  return P .. 'config:' .. uid
end

local function config_changed(verb, uid, ...)
  local key = config_key(uid)
  local seq = redis.call('HINCRBY', key, 'seq', 1)
  local config = redis.call('HMGET', key, 'kind', 'ns', 'name')
  redis.call('XADD', OUT, '*', 'k', config[1], 'v', verb, 'u', uid, 'ns', config[2], 'name', config[3], 'q',
    int(seq), ...)
end

-- Moves a session's counter to a value that it never had, so that one that went and came back is seen
-- to have moved.
local function move(session)
  redis.call('HSET', SESSIONS, session, int(redis.call('HINCRBY', META, 'moves', 1)))
end

local function hold(session, uid, index, attempt, token, lease)
  redis.call('HSET', P .. 'held:' .. session, uid .. '/' .. index, attempt .. '/' .. token .. '/' .. lease)
  move(session)
end

-- Takes an attempt out of what a session holds; a session that holds nothing is forgotten.
local function let_go(session, uid, index)
  if not session then return end
  local held = P .. 'held:' .. session
  redis.call('HDEL', held, uid .. '/' .. index)
  if redis.call('EXISTS', held) == 0 then
    redis.call('HDEL', SESSIONS, session)
  end
end

-- Ends an attempt: its record, its place in the history, its session, the owner's report.
local function finish(uid, index, live, outcome, finished)
  let_go(live.ses, uid, index)
  live.s, live.x, live.e, live.wait = 'F', outcome, finished, nil
  put_live(uid, index, live)
  local attempt = {}
  for _, field in ipairs({ 'n', 'c', 'k', 'b', 'e', 'w', 't', 'r', 'x', 'v', 'cs', 'del', 'ev', 'fc', 'ic' }) do
    attempt[field] = live[field]
  end
  local number = int(live.n)
  redis.call('HSET', hist_key(uid, index), index .. '.' .. number, cjson.encode(attempt))
  redis.call('SETBIT', P .. 'buckets:' .. uid, int(math.floor(index / BUCKET)), 1)
  tell('end', uid, index, number, { x = outcome, cs = live.cs })
  if live.del then
    -- A Pod that a client deleted is gone when it has ended; what is kept of it is for the owner alone.
    changed('Pod', 'DELETED', uid, 'i', index, 'n', number, 'o', cjson.encode(attempt))
  else
    pod_changed('MODIFIED', uid, index, number)
  end
end

-- Adds an event to a Job, or counts one more; a request is taken once. Beyond `cap` the one that
-- happened longest ago goes.
local function add_event(uid, id, json, cap, request)
  local key = P .. 'events:' .. uid
  local old = redis.call('HGET', key, id)
  local event, verb, time = cjson.decode(json), 'ADDED', now()
  event.c, event.f, event.l, event.q = 1, time, time, request
  if old then
    old = cjson.decode(old)
    if old.q == request then return end
    event.c, event.f, verb = old.c + 1, old.f, 'MODIFIED'
  elseif redis.call('HLEN', key) >= tonumber(cap) then
    local oldest, oldest_id
    local all = redis.call('HGETALL', key)
    for n = 1, #all, 2 do
      local last = cjson.decode(all[n + 1]).l
      if not oldest or last < oldest then
        oldest, oldest_id = last, all[n]
      end
    end
    if oldest_id then redis.call('HDEL', key, oldest_id) end
  end
  redis.call('HSET', key, id, cjson.encode(event))
  changed('Event', verb, uid, 'id', id)
end
