-- Whoever has an unresolved reference in the range: to tell which of those resolve costs more than their locks do.
SELECT s.cso_id
  FROM cso_sync s
 WHERE s.cso_id IN (SELECT cso_id FROM (@unresolved) AS reference)
 ORDER BY s.cso_id
   FOR UPDATE
