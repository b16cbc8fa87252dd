-- Which CSOs are joined to these MVOs, from narrow rows alone.
SELECT cso_id, mvo_id, type_id, system_id, state
  FROM cso_sync
 WHERE mvo_id = ANY($1::bigint[]) AND mvo_id IS NOT NULL
 ORDER BY cso_id
