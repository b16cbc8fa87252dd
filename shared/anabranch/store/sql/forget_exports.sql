WITH rows AS (
    DELETE FROM pe_value WHERE export_id = ANY($1::bigint[])
)
DELETE FROM pending_export WHERE id = ANY($1)
