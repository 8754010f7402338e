-- Reports that a container of an attempt failed and waits to be restarted in place.
--
-- ARGV: uid, index, attempt, token, failures so far with this one, outcome (JSON), for a Pod with several
--       containers how each stands (JSON) or ''
-- Replies: ok | refused: the token isn't that of a running attempt
-- Idempotent by the number of failures.

local uid, index, attempt, token, restarts = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local live = get_claimed(uid, index, attempt, token)
if not live then return 'refused' end
if (live.r or 0) >= restarts then return 'ok' end

live.r, live.x = restarts, cjson.decode(ARGV[6])
-- As the kubelet says it between the runs of a container.
if ARGV[7] ~= '' then
  live.cs = cjson.decode(ARGV[7])
else
  live.wait = { reason = 'CrashLoopBackOff', message = 'back-off restarting failed container' }
end
put_live(uid, index, live)
tell('fail', uid, index, attempt, { r = restarts, x = live.x, t = token })
pod_changed('MODIFIED', uid, index, attempt)
return 'ok'
