-- Takes a shard whose owner stands still.
--
-- ARGV: coordinator's name, number of the epoch seen, beat seen, request id
-- Replies: {owned, epoch, pos, 1 if claims are granted on this run of Redis}
--        | {moved, owner, epoch, beat, pos, run, inc}: its owner lives, or another was faster
-- Idempotent by the request id.

local meta = redis.call('HMGET', META, 'owner', 'epoch', 'beat', 'pos', 'run', 'own', 'base', 'inc')
local epoch, run = meta[2] or '0', server_run()
if meta[6] ~= ARGV[4] or meta[7] ~= run then
  if epoch ~= ARGV[2] or (meta[3] or '0') ~= ARGV[3] then
    return { 'moved', meta[1], epoch, meta[3] or '0', meta[4] or '0-0', meta[5], meta[8] }
  end
  epoch = int(epoch + 1)
  redis.call('HSET', META, 'owner', ARGV[1], 'epoch', epoch, 'base', run, 'own', ARGV[4])
  redis.call('HINCRBY', META, 'beat', 1)
end
return { 'owned', epoch_of(epoch, run), meta[4] or '0-0', meta[5] == run and '1' or '0' }
