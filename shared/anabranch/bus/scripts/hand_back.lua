-- Each entry that still exists stands at the end of its stream again with the fields it had, unread; the old entry is
-- gone. KEYS: stream. ARGV: group, entry ids. Answer: how many went back.
local moved = 0
for i = 2, #ARGV do
  local found = redis.call('XRANGE', KEYS[1], ARGV[i], ARGV[i])
  if #found == 1 then
    redis.call('XADD', KEYS[1], '*', unpack(found[1][2]))
    redis.call('XDEL', KEYS[1], ARGV[i])
    moved = moved + 1
  end
  redis.call('XACK', KEYS[1], ARGV[1], ARGV[i])
end
return moved
