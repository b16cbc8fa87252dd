SELECT s.cso_id
  FROM cso_sync s
 WHERE s.cso_id IN (SELECT cso_id FROM (@resolvable) AS reference)
 ORDER BY s.cso_id
   FOR UPDATE
