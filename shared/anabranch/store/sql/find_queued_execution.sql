SELECT id FROM execution
WHERE name = $1 AND state = 'queued' AND config_version = $2 AND now IS NOT DISTINCT FROM $3::timestamptz
ORDER BY id LIMIT 1
