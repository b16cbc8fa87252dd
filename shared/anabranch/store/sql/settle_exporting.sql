-- What a lost worker left in its hands may be asserted again (EXP-27).
WITH left_over AS (
    SELECT id FROM pending_export WHERE system_id = $1 AND state = 'exporting' ORDER BY id FOR NO KEY UPDATE
)
UPDATE pending_export SET state = 'ready', version = version + 1
FROM left_over WHERE pending_export.id = left_over.id
