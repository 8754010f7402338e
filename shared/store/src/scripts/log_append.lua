-- Appends a chunk to an attempt's output.
--
-- KEYS: the output's stream, its hash
-- ARGV: bytes kept at most, chunk, bytes that the worker dropped before this chunk, request id
-- Replies: OK
-- Idempotent by the request id, as one worker at a time writes an output, a chunk after the other. The
-- newest chunk always stays.

local stream, meta = KEYS[1], KEYS[2]
local cap, chunk = tonumber(ARGV[1]), ARGV[2]
local state = redis.call('HMGET', meta, 'bytes', 'dropped', 'end', 'req')
if state[3] or state[4] == ARGV[4] then return redis.status_reply('OK') end

local bytes = (tonumber(state[1]) or 0) + #chunk
local dropped = (tonumber(state[2]) or 0) + tonumber(ARGV[3])
if #chunk > 0 then redis.call('XADD', stream, '*', 'd', chunk) end
while bytes > cap do
  local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', 2)
  if #oldest < 2 then break end
  redis.call('XDEL', stream, oldest[1][1])
  local size = #oldest[1][2][2]
  bytes, dropped = bytes - size, dropped + size
end
redis.call('HSET', meta, 'bytes', string.format('%.0f', bytes), 'dropped', string.format('%.0f', dropped),
  'req', ARGV[4])
return redis.status_reply('OK')
