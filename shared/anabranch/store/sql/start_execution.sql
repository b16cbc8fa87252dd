UPDATE execution SET state = 'running', started_at = anabranch_now() WHERE id = $1 AND state = 'queued'
