-- Stops an attempt.
--
-- ARGV: epoch, uid, index, attempt, grace in seconds
-- Replies: {withdrawn}: it was only offered, and has ended as stopped; it leaves no history
--        | {marked, worker}: its worker hears it at its next renewal
--        | {none}: it isn't the index's current attempt, or has ended
--        | {fenced}
-- Idempotent; a shorter grace period replaces a longer one.

if not owns(ARGV[1]) then return { 'fenced' } end
local uid, index, attempt, grace = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local live = get_live(uid, index)
if not live or live.n ~= tonumber(attempt) then return { 'none' } end
if live.s == 'O' then
  live.s, live.x, live.e = 'F', { stopped = {} }, now()
  put_live(uid, index, live)
  tell('end', uid, index, attempt, { x = live.x })
  changed('Pod', 'DELETED', uid, 'i', index, 'n', attempt, 'o', cjson.encode(live))
  return { 'withdrawn' }
end
if live.s == 'F' and not live.t then return { 'withdrawn' } end
if live.s ~= 'C' then return { 'none' } end
if not live.stop or live.stop > grace then
  live.stop = grace
  put_live(uid, index, live)
  pod_changed('MODIFIED', uid, index, attempt)
end
return { 'marked', live.w }
