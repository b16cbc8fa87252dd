WITH overdue AS (
    SELECT id FROM run
    WHERE state IN ('running', 'held', 'paused') AND held_since IS NULL AND deadline <= anabranch_now()
      AND (kind <> 'export' OR NOT (@file_in_hand))
    ORDER BY id
    FOR NO KEY UPDATE SKIP LOCKED
)
UPDATE run
SET state = 'cancelling', leads_to = 'failed', failed_reason = 'deadline', ending_since = anabranch_now(),
    message = 'the run did not end by its deadline'
FROM overdue WHERE run.id = overdue.id
