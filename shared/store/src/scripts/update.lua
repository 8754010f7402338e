-- Stores a client's change of a Job.
--
-- ARGV: uid, request id, expected rev or '', expected resourceVersion or '', object (JSON), 1 if it is
--       suspended, lease in ms
-- Replies: {ok, rev} | {conflict} | {gone}
-- Idempotent by the request id: the last four are remembered with the rev that each made. A
-- resourceVersion is only current when no change of the Job waits to be forwarded to the log.

local uid, request, rev, rv = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local key = job_key(uid)
local job = redis.call('HMGET', key, 'rev', 'rv', 'seq', 'fseq', 'reqs')
if not job[1] then return { 'gone' } end

local requests = {}
for id, made in string.gmatch(job[5] or '', '(%S+)=(%d+)') do
  if id == request then return { 'ok', made } end
  requests[#requests + 1] = id .. '=' .. made
end
if rev ~= '' and rev ~= job[1] then return { 'conflict' } end
if rv ~= '' and (rv ~= job[2] or job[3] ~= job[4]) then return { 'conflict' } end

local made = int(job[1] + 1)
requests[#requests + 1] = request .. '=' .. made
if #requests > 4 then table.remove(requests, 1) end
redis.call('HSET', key, 'object', ARGV[5], 'rev', made, 'lease', ARGV[7], 'reqs', table.concat(requests, ' '))
if ARGV[6] == '1' then redis.call('HSET', key, 'active', 0) end
redis.call('XADD', IN, '*', 't', 'job', 'u', uid)
job_changed('MODIFIED', uid)
return { 'ok', made }
