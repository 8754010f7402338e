-- Stores what follows from a batch of events.
--
-- ARGV: epoch, request id, pos, events kept per Job,
--       number of Jobs, then per Job: uid, the rev that the changes were worked out from,
--       number of stream entries accounted for, then their ids,
--       then the changes, each a letter and its arguments:
--         H uid header active   the header
--         T uid index           completed and failed indexes from here on are forgotten
--         D uid index           a completed index
--         X uid index           an index that has failed for good
--         L uid index live|''   the record of an index in flight, or its removal
--         J uid                 tell watchers of the Job
--         P uid index n verb    tell watchers of a Pod
--         E uid id event        an event
-- Replies: {ok, time in ms} | {stale, uid...} | {fenced}
-- Idempotent by the request id.

if not owns(ARGV[1]) then return { 'fenced' } end
local request = ARGV[2]
if redis.call('HGET', META, 'commit') == request then return { 'ok', int(now()) } end

local at = 5
local function take()
  at = at + 1
  return ARGV[at - 1]
end

local known, stale = {}, { 'stale' }
for _ = 1, tonumber(take()) do
  local uid, rev = take(), take()
  known[uid] = true
  if redis.call('HGET', job_key(uid), 'rev') ~= rev then stale[#stale + 1] = uid end
end
if #stale > 1 then return stale end

local acked = tonumber(take())
for first = 1, acked, 1000 do
  local ids = {}
  for n = first, math.min(first + 999, acked) do ids[n - first + 1] = take() end
  redis.call('XDEL', IN, unpack(ids))
end

-- The record of a claimed or finished attempt is its worker's: what was reported since the owner read it
-- must not be undone. Of such a record only the owner's own fields are taken, and only into the same
-- attempt's.
local function reported(live)
  return live.s == 'C' or live.s == 'F'
end

local function store_live(uid, index, json)
  local old, new = get_live(uid, index), cjson.decode(json)
  local same = old and old.n == new.n
  if reported(new) or (same and reported(old) and new.s ~= 'W') then
    if not same then return end
    old.f, old.d, old.l, old.rc, old.due = new.f, new.d, new.l, new.rc, new.due
    new = old
  end
  put_live(uid, index, new)
end

-- Bits from `from` on become 0.
local function cut_bitmap(key, from)
  local whole = math.ceil(from / 8)
  if redis.call('STRLEN', key) == 0 then return end
  local kept = whole > 0 and redis.call('GETRANGE', key, 0, whole - 1) or ''
  if kept == '' then
    redis.call('DEL', key)
    return
  end
  redis.call('SET', key, kept)
  for bit = from, #kept * 8 - 1 do redis.call('SETBIT', key, int(bit), 0) end
end

local arity = { H = 3, T = 2, D = 2, X = 2, L = 3, J = 1, P = 4, E = 3 }
local serial = 0
while at <= #ARGV do
  local op, uid = take(), take()
  local args = {}
  for n = 1, arity[op] - 1 do args[n] = take() end
  serial = serial + 1
  if known[uid] then
    if op == 'H' then
      redis.call('HSET', job_key(uid), 'header', args[1], 'active', args[2])
    elseif op == 'T' then
      cut_bitmap(P .. 'done:' .. uid, tonumber(args[1]))
      cut_bitmap(P .. 'failed:' .. uid, tonumber(args[1]))
    elseif op == 'D' then
      redis.call('SETBIT', P .. 'done:' .. uid, args[1], 1)
    elseif op == 'X' then
      redis.call('SETBIT', P .. 'failed:' .. uid, args[1], 1)
    elseif op == 'L' and args[2] == '' then
      local old = get_live(uid, args[1])
      if old and old.s == 'C' then let_go(old.ses, uid, args[1]) end
      redis.call('HDEL', P .. 'live:' .. uid, args[1])
    elseif op == 'L' then
      store_live(uid, args[1], args[2])
    elseif op == 'J' then
      job_changed('MODIFIED', uid)
    elseif op == 'P' then
      pod_changed(args[3], uid, args[1], args[2])
    elseif op == 'E' then
      add_event(uid, args[1], args[2], ARGV[4], request .. '#' .. serial)
    end
  end
end
redis.call('HSET', META, 'pos', ARGV[3], 'commit', request)
return { 'ok', int(now()) }
