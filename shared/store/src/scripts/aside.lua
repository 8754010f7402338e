-- Tells the owner that no worker has survived reading the ticket of an attempt, which is still offered.
--
-- ARGV: uid, index, attempt, readers that were lost with the ticket
-- Replies: told | void: it isn't the index's current attempt, or was claimed or withdrawn
-- A repeat tells the owner the same twice, which says no more.

local uid, index, attempt, readers = unpack(ARGV)
local live = get_live(uid, index)
if not live or live.n ~= tonumber(attempt) or live.s ~= 'O' then return 'void' end
tell('aside', uid, index, attempt, { r = tonumber(readers) })
return 'told'
