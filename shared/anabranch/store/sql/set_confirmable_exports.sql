-- The set that `read_confirmable_exports` reads: exports of the system $3 with sent rows, state by state as the index has them.
SELECT id FROM pending_export
 WHERE system_id = $3 AND state = 'exported' AND id BETWEEN $1 AND $2
UNION ALL
SELECT id FROM pending_export
 WHERE system_id = $3 AND state = 'unconfirmed' AND id BETWEEN $1 AND $2
UNION ALL
SELECT id FROM pending_export
 WHERE system_id = $3 AND state = 'ready' AND sent_seq IS NOT NULL AND id BETWEEN $1 AND $2
