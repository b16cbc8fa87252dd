-- With link, references, keys and pending exports. The answer: who referred to them and fell back to the raw identifier.
WITH fallen AS (
    UPDATE cso_ref
       SET target_cso_id = NULL
     WHERE target_cso_id = ANY($1::bigint[]) AND target_cso_id IS NOT NULL AND NOT cso_id = ANY($1)
 RETURNING cso_id
), own AS (
    DELETE FROM cso_ref WHERE cso_id = ANY($1)
), keys AS (
    DELETE FROM cso_key WHERE cso_id = ANY($1)
), exports AS (
    DELETE FROM pending_export WHERE cso_id = ANY($1) RETURNING id
), rows AS (
    DELETE FROM pe_value WHERE export_id IN (SELECT id FROM exports)
), link AS (
    DELETE FROM cso_sync WHERE cso_id = ANY($1)
), object AS (
    DELETE FROM cso WHERE id = ANY($1)
)
SELECT DISTINCT cso_id FROM fallen ORDER BY cso_id
