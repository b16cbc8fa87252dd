-- Hashes come packed, because a driver looks at every element of an array. Each is looked up by itself: what stands behind
-- OFFSET 0 is planned apart, for one type and one hash, whatever the planner believes of the type's size.
SELECT p.*
  FROM (SELECT DISTINCT substr($2::bytea, n * 16 + 1, 16) AS hash
          FROM generate_series(0, length($2::bytea) / 16 - 1) AS n) AS w
 CROSS JOIN LATERAL (SELECT * FROM cso_picture WHERE type_id = $1 AND anchor_hash = w.hash OFFSET 0) AS p
 ORDER BY p.id
