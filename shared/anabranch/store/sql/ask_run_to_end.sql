-- It ends as soon as it may; see `end_as_asked`.
UPDATE run SET leads_to = 'cancelled', message = $2 WHERE id = $1 AND state = 'running' AND leads_to IS NULL
