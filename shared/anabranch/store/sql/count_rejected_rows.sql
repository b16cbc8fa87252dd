-- Nothing is taken apart where nothing was rejected. The concatenation makes each column of a pack be fetched once.
WITH verdict AS MATERIALIZED (
    SELECT type_id, anchor_hash, kind FROM import_verdict WHERE run_id = $1
), pack AS MATERIALIZED (
    SELECT type_id, length(hashes) / 16 AS total, hashes || ''::bytea AS hashes
      FROM import_pack
     WHERE run_id = $1 AND EXISTS (SELECT FROM verdict)
), staged AS (
    SELECT p.type_id, substr(p.hashes, n * 16 + 1, 16) AS anchor_hash
      FROM pack p
     CROSS JOIN LATERAL generate_series(0, p.total - 1) AS n
)
SELECT v.kind, count(*) AS n
  FROM staged s
  JOIN verdict v USING (type_id, anchor_hash)
 GROUP BY v.kind
 ORDER BY v.kind
