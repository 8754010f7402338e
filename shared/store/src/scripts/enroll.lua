-- Takes over a worker's name for a new session: the session before is fenced, and what it held is the
-- new one's.
--
-- ARGV: worker, session
-- Replies: what the session holds now, `<uid>/<index>` and `<attempt>/<token>/<lease ms>` in turn
-- Idempotent.

local worker, session = ARGV[1], ARGV[2]
local before = redis.call('HGET', WORKERS, worker)
local held = P .. 'held:' .. session
if before ~= session then
  redis.call('HSET', WORKERS, worker, session)
  if before then
    local old = P .. 'held:' .. before
    local all = redis.call('HGETALL', old)
    for n = 1, #all, 2 do
      local uid, index = string.match(all[n], '^(.+)/(%d+)$')
      local live = get_live(uid, index)
      if live and live.s == 'C' and live.ses == before then
        live.ses = session
        put_live(uid, index, live)
        redis.call('HSET', held, all[n], all[n + 1])
      end
    end
    redis.call('DEL', old)
    redis.call('HDEL', SESSIONS, before)
    if redis.call('EXISTS', held) == 1 then move(session) end
  end
end
return redis.call('HGETALL', held)
