-- Appends entries to the change log.
--
-- KEYS: ls:log
-- ARGV: about how many entries the log keeps; then for each entry the number of its fields and values,
--   and these
-- Replies: the ids of the new entries
-- Done twice it only tells watchers twice.

local ids, at = {}, 2
while at <= #ARGV do
  local last = at + tonumber(ARGV[at])
  ids[#ids + 1] = redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', unpack(ARGV, at + 1, last))
  at = last + 1
end
return ids
