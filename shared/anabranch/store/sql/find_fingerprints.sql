-- Hashes come packed, because a driver looks at every element of an array. Each is looked up by itself: what stands behind
-- OFFSET 0 is planned apart, for one type and one hash, whatever the planner believes of the type's size.
SELECT c.anchor_hash, c.fingerprint
  FROM (SELECT DISTINCT substr($3::bytea, n * 16 + 1, 16) AS hash
          FROM generate_series(0, length($3::bytea) / 16 - 1) AS n) AS w
 CROSS JOIN LATERAL (SELECT * FROM cso WHERE type_id = $1 AND anchor_hash = w.hash OFFSET 0) AS c
 WHERE c.partition = $2
   AND c.state = 'normal'
   AND c.fingerprint IS NOT NULL
