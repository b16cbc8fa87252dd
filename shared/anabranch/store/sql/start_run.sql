UPDATE run r
SET state = 'running', started_at = anabranch_now(), now = coalesce(x.now, anabranch_now()),
    deadline = anabranch_now() + r.deadline_after, start_seq = coalesce(pg_sequence_last_value('change_seq'), 0)
FROM execution x
WHERE r.id = $1 AND r.state = 'queued' AND x.id = r.execution_id
RETURNING r.id, r.execution_id, r.kind, r.system_id
