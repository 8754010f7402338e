-- Takes changes that are in the change log out of the shard's `out` stream.
--
-- ARGV: number of entries, their ids, then per change of a Job, ConfigMap or Secret: the end of its key, its
--       seq at that change, its resourceVersion
-- Replies: ok
-- Idempotent; positions only grow.

local count = tonumber(ARGV[1])
for first = 1, count, 1000 do
  local ids = {}
  for n = first, math.min(first + 999, count) do ids[#ids + 1] = ARGV[n + 1] end
  redis.call('XDEL', OUT, unpack(ids))
end
for at = count + 2, #ARGV, 3 do
  local key, seq = P .. ARGV[at], ARGV[at + 1]
  local forwarded = redis.call('HGET', key, 'fseq')
  if forwarded and tonumber(seq) >= tonumber(forwarded) then
    redis.call('HSET', key, 'fseq', seq, 'rv', ARGV[at + 2])
  end
end
return redis.status_reply('OK')
