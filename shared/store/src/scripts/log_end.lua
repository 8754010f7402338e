-- Marks an attempt's output as complete.
--
-- KEYS: the output's stream, its hash
-- Replies: OK
-- Idempotent.

if redis.call('HSETNX', KEYS[2], 'end', 1) == 1 then
  redis.call('XADD', KEYS[1], '*', 'end', '1')
end
return redis.status_reply('OK')
