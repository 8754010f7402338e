-- Deletes or evicts an attempt's Pod: marks its record, and tells the owner to have it stopped. Clients see
-- one that has ended no more; its Job keeps the record.
--
-- ARGV: uid, index, attempt, grace in seconds, 1 if evicted
-- Replies: {marked, time of the deletion in ms} | {ended}: there was nothing to stop | {none}
-- Idempotent: the first deletion's time and kind stay; the owner takes the shortest grace period. One that
-- its owner has told to stop already is not marked: it ends for the owner's reason.

local uid, index, attempt = ARGV[1], ARGV[2], ARGV[3]
local live = get_live(uid, index)
if live and live.n ~= tonumber(attempt) then live = nil end
if not live or live.s == 'W' or live.s == 'F' then
  local field = index .. '.' .. attempt
  local past = redis.call('HGET', hist_key(uid, index), field)
  past = past and cjson.decode(past)
  -- An offer that was withdrawn has no history, and is gone already.
  if past and not past.del then
    past.del = now()
    redis.call('HSET', hist_key(uid, index), field, cjson.encode(past))
    changed('Pod', 'DELETED', uid, 'i', index, 'n', attempt, 'o', cjson.encode(past))
  end
  return { (past or (live and live.s == 'F')) and 'ended' or 'none' }
end
if live.stop and not live.del then return { 'marked', int(now()) } end

if not live.del then
  live.del = now()
  if ARGV[5] == '1' then live.ev = true end
  put_live(uid, index, live)
  pod_changed('MODIFIED', uid, index, attempt)
end
tell('pod', uid, index, attempt, { at = live.del, g = tonumber(ARGV[4]), ev = live.ev })
return { 'marked', int(live.del) }
