-- The entries are gone from the group's pending list and from the stream, together: XLEN stays what waits or is in
-- work. KEYS: stream. ARGV: group, entry ids. Answer: how many entries still existed.
local ids = {}
for i = 2, #ARGV do
  ids[#ids + 1] = ARGV[i]
end
redis.call('XACK', KEYS[1], ARGV[1], unpack(ids))
return redis.call('XDEL', KEYS[1], unpack(ids))
