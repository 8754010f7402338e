-- Grants an attempt to a worker's session.
--
-- ARGV: uid, index, attempt, claim id, worker, session
-- Replies: {granted, token, lease in ms, namespace, name, restarts so far, failures of the index that counted
--         before, ones that a policy ignored, object}
--        | {refused, why} | {paused}: this run of Redis isn't accepted by the owner yet
--        | {fenced}: another session has the worker's name
-- Idempotent by the claim id, for as long as that claim holds the attempt.

local uid, index, attempt, claim, worker, session = unpack(ARGV)
if redis.call('HGET', WORKERS, worker) ~= session then return { 'fenced' } end

local job = redis.call('HMGET', job_key(uid), 'object', 'ns', 'name', 'lease', 'active')
if not job[1] then return { 'refused', 'the Job is gone' } end
local function granted(live)
  local failures = { int(live.fc or 0), int(live.ic or 0) }
  return { 'granted', live.t, job[4], job[2], job[3], int(live.r or 0), failures[1], failures[2], job[1] }
end

local live = get_live(uid, index)
local current = live and live.n == tonumber(attempt)
if current and live.s == 'C' and live.cid == claim and live.ses == session then return granted(live) end

local meta = redis.call('HMGET', META, 'run', 'inc')
if meta[1] ~= server_run() then return { 'paused' } end
if not current then return { 'refused', "it isn't the index's current attempt" } end
if live.s ~= 'O' then return { 'refused', 'it was claimed before' } end
if job[5] ~= '1' then return { 'refused', "the Job isn't active" } end

live.t = string.format('%.0f%09.0f', meta[2], redis.call('HINCRBY', META, 'ctr', 1))
live.s, live.w, live.ses, live.cid, live.k = 'C', worker, session, claim, now()
put_live(uid, index, live)
hold(session, uid, index, attempt, live.t, job[4])
tell('claim', uid, index, attempt, { w = worker, t = live.t })
pod_changed('MODIFIED', uid, index, attempt)
return granted(live)
