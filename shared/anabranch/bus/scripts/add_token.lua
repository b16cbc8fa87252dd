-- A set, because redelivery breaks counters. What is expected only grows, since a split adds batches. Both keys live
-- on with every arrival. KEYS: tokens, expected. ARGV: batch, expected ('' when unknown), seconds to live.
-- Answer: how many have arrived, how many are expected (-1 when unknown).
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[3])
local expected = tonumber(redis.call('GET', KEYS[2]) or '-1')
if ARGV[2] ~= '' and tonumber(ARGV[2]) > expected then
  expected = tonumber(ARGV[2])
  redis.call('SET', KEYS[2], ARGV[2])
end
if expected >= 0 then
  redis.call('EXPIRE', KEYS[2], ARGV[3])
end
return { redis.call('SCARD', KEYS[1]), expected }
