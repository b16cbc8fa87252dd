-- Packs are taken apart only where anything is unresolved at all, which in most runs nothing is.
WITH unresolved AS MATERIALIZED (
    SELECT f.type_id, f.attr, f.raw, c.anchor_hash
      FROM cso_ref f
      JOIN cso c ON c.id = f.cso_id
     WHERE f.target_cso_id IS NULL
       AND f.type_id IN (SELECT type_id FROM import_pack WHERE run_id = $1)
), pack AS MATERIALIZED (
    SELECT type_id, length(hashes) / 16 AS total, hashes || ''::bytea AS hashes
      FROM import_pack
     WHERE run_id = $1 AND NOT gone AND EXISTS (SELECT FROM unresolved)
), staged AS (
    SELECT DISTINCT p.type_id, substr(p.hashes, n * 16 + 1, 16) AS anchor_hash
      FROM pack p
     CROSS JOIN LATERAL generate_series(0, p.total - 1) AS n
)
SELECT u.type_id, u.attr, count(*) AS n, min(u.raw) AS example
  FROM unresolved u
  JOIN staged USING (type_id, anchor_hash)
 GROUP BY u.type_id, u.attr
 ORDER BY u.type_id, u.attr
