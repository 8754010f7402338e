-- Takes an attempt from a session whose lease has run out.
--
-- ARGV: epoch, session, the session's counter as the owner saw it stand still, uid, index, attempt, token,
--       outcome (JSON)
-- Replies: revoked | lost: renewed, finished or taken over meanwhile | fenced
-- Idempotent: a repeat finds the attempt revoked under its token.

if not owns(ARGV[1]) then return 'fenced' end
local session, uid, index, attempt, token = ARGV[2], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
local live = get_claimed(uid, index, attempt, token)
if live then
  if live.ses ~= session or redis.call('HGET', SESSIONS, session) ~= ARGV[3] then return 'lost' end
  live.v = 1
  finish(uid, index, live, cjson.decode(ARGV[8]), now())
  return 'revoked'
end
local past = redis.call('HGET', hist_key(uid, index), index .. '.' .. attempt)
past = past and cjson.decode(past)
if past and past.t == token and past.v then return 'revoked' end
return 'lost'
