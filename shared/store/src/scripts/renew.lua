-- Renews a session's lease on all its attempts in the shard, and says what to do with each.
--
-- ARGV: worker, session, then per attempt that the worker really has: uid, index, attempt, token
-- Replies: {{ok, time in ms}, {verdict...}, {what it holds and didn't name, as in enroll.lua}}
--        | {{fenced, session that has the name or nothing}}
-- A verdict is `go <restarts granted>`, `stop <grace>` or `gone`.
-- A repeat moves the counter once more, which says the same.
--
-- An attempt whose claim Redis has forgotten, having come back from an older file, and which nobody else
-- was given, is taken back.

local worker, session = ARGV[1], ARGV[2]
local holder = redis.call('HGET', WORKERS, worker)
if holder ~= session then return { { 'fenced', holder or nil } } end

local verdicts, named = {}, {}
for at = 3, #ARGV, 4 do
  local uid, index, attempt, token = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local live = get_live(uid, index)
  if live and live.s == 'O' and live.n == tonumber(attempt) then
    live.s, live.w, live.t, live.ses, live.k = 'C', worker, token, session, now()
    put_live(uid, index, live)
    hold(session, uid, index, attempt, token, redis.call('HGET', job_key(uid), 'lease') or '0')
    tell('claim', uid, index, attempt, { w = worker, t = token })
    pod_changed('MODIFIED', uid, index, attempt)
  end
  local verdict = 'gone'
  if live and live.s == 'C' and live.n == tonumber(attempt) and live.t == token and live.ses == session then
    named[uid .. '/' .. index] = true
    verdict = live.stop and 'stop ' .. int(live.stop) or 'go ' .. int(live.go or 0)
  end
  verdicts[#verdicts + 1] = verdict
end

local unnamed = {}
local all = redis.call('HGETALL', P .. 'held:' .. session)
for n = 1, #all, 2 do
  if not named[all[n]] then
    unnamed[#unnamed + 1] = all[n]
    unnamed[#unnamed + 1] = all[n + 1]
  end
end
if #all > 0 then move(session) end
return { { 'ok', int(now()) }, verdicts, unnamed }
