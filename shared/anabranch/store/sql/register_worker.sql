INSERT INTO worker (id, kind, version, boot_id, host, pid) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (id) DO UPDATE
SET kind = excluded.kind, version = excluded.version, boot_id = excluded.boot_id, host = excluded.host,
    pid = excluded.pid, state = 'running', started_at = anabranch_now(), last_beat = anabranch_now(), holds = '{}'
