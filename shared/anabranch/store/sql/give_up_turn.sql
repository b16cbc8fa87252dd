WITH waits AS (DELETE FROM turn_wait WHERE run_id = $1)
DELETE FROM sync_turn WHERE run_id = $1
