-- Reports that an attempt's container started, or why it can't yet.
--
-- ARGV: uid, index, attempt, token, time of the start in ms or '', reason to wait (JSON) or '', for a Pod
--       with several containers how each stands (JSON) or ''
-- Replies: ok | refused: the token isn't that of a running attempt
-- Idempotent: the same start, or the same reason, is stored and told once. How containers stand may be
-- told to watchers twice.

local uid, index, attempt, token = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local live = get_claimed(uid, index, attempt, token)
if not live then return 'refused' end

local started = tonumber(ARGV[5])
if ARGV[7] ~= '' then
  live.cs, live.wait = cjson.decode(ARGV[7]), nil
  if started and live.b ~= started then
    live.b = started
    tell('start', uid, index, attempt, { t = token })
  end
elseif started then
  if live.b == started and not live.wait then return 'ok' end
  live.b, live.wait = started, nil
  tell('start', uid, index, attempt, { t = token })
else
  local wait = cjson.decode(ARGV[6])
  if live.wait and live.wait.reason == wait.reason and live.wait.message == wait.message then return 'ok' end
  live.wait = wait
end
put_live(uid, index, live)
pod_changed('MODIFIED', uid, index, attempt)
return 'ok'
