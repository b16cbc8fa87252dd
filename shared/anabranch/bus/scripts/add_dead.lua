-- Each dead batch stands once on the stream, whoever reports it and however often. Dead batches are few, so the
-- stream is looked through once a call. KEYS: dead stream. ARGV: per letter batch, run, system, phase, error.
-- Answer: how many were new.
local known = {}
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '-', '+')) do
  known[entry[2][2]] = true
end
local added = 0
for i = 1, #ARGV, 5 do
  if not known[ARGV[i]] then
    known[ARGV[i]] = true
    redis.call('XADD', KEYS[1], '*', 'batch', ARGV[i], 'run', ARGV[i + 1], 'system', ARGV[i + 2],
      'phase', ARGV[i + 3], 'error', ARGV[i + 4])
    added = added + 1
  end
end
return added
