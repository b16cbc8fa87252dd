-- What is held under a claim, with all a worker needs to know of its run.
SELECT b.id AS batch, b.run_id AS run, b.ordinal, s.name AS step, b.role, b.worker_kind, b.claim, b.epoch,
       b.owner AS worker, b.system_id AS system, r.kind, b.payload, b.total, b.cursor, b.counters, b.failures, b.losses,
       b.version, r.config_version, r.now, r.start_seq, r.page_size, r.batch_size, r.execution_id AS execution,
       x.trace_id, a.span_id, s.span_id AS step_span_id, p.span_id AS previous_span_id, b.lease_until,
       k.key AS system_key
FROM batch b
JOIN run r ON r.id = b.run_id
JOIN run_step s ON s.run_id = b.run_id AND s.ordinal = b.ordinal
JOIN execution x ON x.id = r.execution_id
JOIN batch_attempt a ON a.batch_id = b.id AND a.epoch = b.epoch
LEFT JOIN system k ON k.id = b.system_id
LEFT JOIN batch_attempt p ON p.batch_id = b.id AND p.epoch = b.epoch - 1
WHERE b.claim = $1 AND b.owner = $2 AND b.state = 'leased'
