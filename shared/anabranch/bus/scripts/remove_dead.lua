-- None of the batches stands on the stream, and an empty stream leaves no key behind. KEYS: dead stream. ARGV: batch
-- ids. Answer: how many were there.
local wanted = {}
for i = 1, #ARGV do
  wanted[ARGV[i]] = true
end
local removed = 0
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+')) do
  if wanted[entry[2][2]] then
    removed = removed + redis.call('XDEL', KEYS[1], entry[1])
  end
end
if redis.call('XLEN', KEYS[1]) == 0 then
  redis.call('DEL', KEYS[1])
end
return removed
