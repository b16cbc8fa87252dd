-- The system a hinted batch calls, if it calls one.
SELECT system_id FROM batch WHERE id = $1 AND worker_kind = 'export' AND role = 'work' AND system_id IS NOT NULL
