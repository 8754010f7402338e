-- Allows claims on this run of Redis, under a new incarnation of the tokens: larger than any token
-- before, those included that Redis has forgotten. Redis' clock has no say: had it been ahead for a while,
-- the incarnation after the one from then would be given again once Redis has forgotten it.
--
-- ARGV: epoch, the least incarnation by what the owner knows
-- Replies: 1 | 0: fenced
-- Idempotent: a run that is accepted keeps its incarnation.

if not owns(ARGV[1]) then return 0 end
local meta, run = redis.call('HMGET', META, 'run', 'inc'), server_run()
if meta[1] ~= run then
  local inc = math.max((tonumber(meta[2]) or 0) + 1, tonumber(ARGV[2]))
  redis.call('HSET', META, 'run', run, 'inc', int(inc), 'ctr', 0)
end
return 1
