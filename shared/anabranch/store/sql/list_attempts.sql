SELECT a.batch_id AS batch, a.epoch, a.worker, a.span_id, p.span_id AS previous_span_id, a.started_at, a.ended_at,
       a.outcome, b.run_id AS run, b.ordinal, s.name AS step, b.role, b.worker_kind, b.total, k.key AS system, r.kind,
       x.trace_id, s.span_id AS step_span_id
FROM unnest($1::bigint[], $2::integer[]) AS wanted (batch_id, epoch)
JOIN batch_attempt a ON a.batch_id = wanted.batch_id AND a.epoch = wanted.epoch
JOIN batch b ON b.id = a.batch_id
JOIN run r ON r.id = b.run_id
JOIN run_step s ON s.run_id = b.run_id AND s.ordinal = b.ordinal
JOIN execution x ON x.id = r.execution_id
LEFT JOIN system k ON k.id = b.system_id
LEFT JOIN batch_attempt p ON p.batch_id = a.batch_id AND p.epoch = a.epoch - 1
ORDER BY a.batch_id, a.epoch
