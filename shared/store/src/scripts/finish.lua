-- Reports the end of an attempt.
--
-- ARGV: uid, index, attempt, token, outcome (JSON), time of its start in ms or '', of its end or '', for a
--       Pod with several containers how each ended (JSON) or ''
-- Replies: ok | refused: the token isn't that of a running attempt, or it was revoked
-- Idempotent by the token: a repeat finds the attempt ended by it, in its record or its history.

local uid, index, attempt, token = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local live = get_claimed(uid, index, attempt, token)
if live then
  live.b = tonumber(ARGV[6]) or live.b
  if ARGV[8] ~= '' then live.cs = cjson.decode(ARGV[8]) end
  finish(uid, index, live, cjson.decode(ARGV[5]), tonumber(ARGV[7]) or now())
  return 'ok'
end
local past = redis.call('HGET', hist_key(uid, index), index .. '.' .. attempt)
past = past and cjson.decode(past)
if past and past.t == token and not past.v then return 'ok' end
return 'refused'
