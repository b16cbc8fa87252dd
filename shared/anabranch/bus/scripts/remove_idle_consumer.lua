-- The consumer is gone from every lane, unless it has a pending entry in one: removing it would lose that entry.
-- KEYS: the lanes. ARGV: group, consumer. Answer: 1 gone, 0 still needed.
for _, lane in ipairs(KEYS) do
  local pending = redis.pcall('XPENDING', lane, ARGV[1], '-', '+', 1, ARGV[2])
  if pending.err == nil and #pending > 0 then
    return 0
  end
  if pending.err and not string.find(pending.err, 'NOGROUP', 1, true) then
    return pending
  end
end
for _, lane in ipairs(KEYS) do
  local gone = redis.pcall('XGROUP', 'DELCONSUMER', lane, ARGV[1], ARGV[2])
  if type(gone) == 'table' and gone.err and not string.find(gone.err, 'NOGROUP', 1, true)
      and not string.find(gone.err, 'requires the key to exist', 1, true) then
    return gone
  end
end
return 1
