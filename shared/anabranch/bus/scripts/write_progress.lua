-- Figures never run backwards: an older phase, less of the same phase, or anything after a run's last figures is
-- refused. KEYS: progress. ARGV: seconds to live, '1' when the run has ended, then field, value, ...
-- Answer: 1 written, 0 refused.
local new = {}
for i = 3, #ARGV, 2 do
  new[ARGV[i]] = ARGV[i + 1]
end
local old = redis.call('HMGET', KEYS[1], 'phase_index', 'processed', 'state', 'run_id')
local ended = ARGV[2] == '1'
if old[4] and not ended then
  local live = { queued = true, running = true, held = true, paused = true, cancelling = true }
  if old[3] and not live[old[3]] then
    return 0
  end
  local old_phase, new_phase = tonumber(old[1] or '') or -1, tonumber(new['phase_index'] or '') or -1
  if new_phase < old_phase then
    return 0
  end
  local old_done, new_done = tonumber(old[2] or '') or 0, tonumber(new['processed'] or '') or 0
  if new_phase == old_phase and new_done < old_done then
    return 0
  end
end
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
redis.call('EXPIRE', KEYS[1], ARGV[1])
return 1
