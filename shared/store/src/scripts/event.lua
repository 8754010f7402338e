-- Adds an event to a Job, or counts one more of an equal one.
--
-- ARGV: uid, id (equal for equal events), event (JSON), events kept per Job, request id
-- Replies: OK
-- Idempotent by the request id, until the same event comes again.

if redis.call('EXISTS', job_key(ARGV[1])) == 1 then
  add_event(ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5])
end
return redis.status_reply('OK')
