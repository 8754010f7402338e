-- Lets an attempt's container be restarted in place; its worker hears it at its next renewal.
--
-- ARGV: epoch, uid, index, attempt, which restart
-- Replies: {granted, worker} | {none}: not the index's current attempt, or not claimed | {fenced}
-- Idempotent: the largest number stays.

if not owns(ARGV[1]) then return { 'fenced' } end
local uid, index, restarts = ARGV[2], ARGV[3], tonumber(ARGV[5])
local live = get_live(uid, index)
if not live or live.n ~= tonumber(ARGV[4]) or live.s ~= 'C' then return { 'none' } end
if (live.go or 0) < restarts then
  live.go = restarts
  put_live(uid, index, live)
end
return { 'granted', live.w }
