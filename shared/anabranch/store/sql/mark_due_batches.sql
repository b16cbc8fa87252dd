-- Due batches that were not published lately in this bus epoch, at most $4 of each kind $3, systems in turn; marked in
-- the same statement, so that no lock is held while anything is sent. Calls to a system are published only as far as it
-- takes calls at once.
WITH busy AS MATERIALIZED (
    SELECT system_id, count(*) AS calls FROM batch
    WHERE worker_kind = 'export' AND role = 'work' AND state = 'leased'
      AND NOT lease_is_over(lease_until, lease)
    GROUP BY system_id
), due AS MATERIALIZED (
    SELECT b.id, b.worker_kind, b.role, b.system_id, b.state,
           b.published_at IS NULL OR b.published_epoch IS DISTINCT FROM $1::bigint OR b.published_at > anabranch_now()
               OR b.published_at < anabranch_now() - make_interval(secs => $2) AS unsaid,
           row_number() OVER (PARTITION BY b.worker_kind, b.system_id, b.role ORDER BY b.id) AS place
    FROM batch b JOIN run r ON r.id = b.run_id AND r.state = 'running'
    WHERE b.worker_kind = ANY ($3::text[]) AND b.state IN ('ready', 'leased')
      AND batch_is_due(b.state, b.not_before, b.lease_until, b.lease)
), wanted AS MATERIALIZED (
    SELECT due.id, due.worker_kind,
           row_number() OVER (PARTITION BY due.worker_kind ORDER BY due.place, due.system_id, due.id) AS rank
    FROM due
    LEFT JOIN busy ON busy.system_id = due.system_id
    LEFT JOIN system s ON s.id = due.system_id
    WHERE due.unsaid
      AND (due.worker_kind <> 'export' OR due.role <> 'work' OR due.system_id IS NULL
           OR due.place + coalesce(busy.calls, 0) <= s.max_parallel_exports)
), picked AS (
    SELECT b.id, w.rank
    FROM wanted w
    JOIN unnest($3::text[], $4::integer[]) AS allowed (kind, most) ON allowed.kind = w.worker_kind AND w.rank <= allowed.most
    JOIN batch b ON b.id = w.id
    WHERE batch_is_due(b.state, b.not_before, b.lease_until, b.lease)
      -- Again of the row as it is locked: another relay may have marked it since it was looked at.
      AND (b.published_at IS NULL OR b.published_epoch IS DISTINCT FROM $1::bigint OR b.published_at > anabranch_now()
           OR b.published_at < anabranch_now() - make_interval(secs => $2))
    ORDER BY b.id
    FOR NO KEY UPDATE OF b SKIP LOCKED
), marked AS (
    UPDATE batch b SET published_at = anabranch_now(), published_epoch = $1
    FROM picked WHERE b.id = picked.id
    RETURNING b.id, b.run_id, b.ordinal, b.worker_kind, b.system_id, b.epoch, b.version, picked.rank
)
SELECT m.id AS batch, m.run_id AS run, coalesce(s.key, '') AS system, coalesce(m.system_id, 0) AS system_id,
       m.ordinal || '.' || st.name AS phase, m.worker_kind, m.epoch AS seq, m.version,
       '00-' || x.trace_id || '-' || st.span_id || '-01' AS traceparent
FROM marked m
JOIN run r ON r.id = m.run_id
JOIN execution x ON x.id = r.execution_id
JOIN run_step st ON st.run_id = m.run_id AND st.ordinal = m.ordinal
LEFT JOIN system s ON s.id = m.system_id
ORDER BY m.rank, m.id
