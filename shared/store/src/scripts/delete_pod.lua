-- Deletes or evicts an attempt's Pod: marks its record, and tells the owner to have it stopped.
--
-- ARGV: uid, index, attempt, grace in seconds, 1 if evicted
-- Replies: {marked, time of the deletion in ms} | {ended}: there is nothing to stop | {none}
-- Idempotent: the first deletion's time and kind stay; the owner takes the shortest grace period. One that
-- its owner has told to stop already is not marked: it ends for the owner's reason.

local uid, index, attempt = ARGV[1], ARGV[2], ARGV[3]
local live = get_live(uid, index)
if not live or live.n ~= tonumber(attempt) or live.s == 'W' then
  local past = redis.call('HEXISTS', hist_key(uid, index), index .. '.' .. attempt)
  return { past == 1 and 'ended' or 'none' }
end
if live.s == 'F' then return { 'ended' } end
if live.stop and not live.del then return { 'marked', int(now()) } end

if not live.del then
  live.del = now()
  if ARGV[5] == '1' then live.ev = true end
  put_live(uid, index, live)
  pod_changed('MODIFIED', uid, index, attempt)
end
tell('pod', uid, index, attempt, { at = live.del, g = tonumber(ARGV[4]), ev = live.ev })
return { 'marked', int(live.del) }
