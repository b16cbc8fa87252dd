SELECT id FROM cso WHERE type_id = $1 ORDER BY anchor NULLS LAST, id
