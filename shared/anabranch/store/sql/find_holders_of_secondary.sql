-- Hashes come packed, and each is looked up by itself; see `find_csos_by_anchor`.
SELECT p.*
  FROM (SELECT DISTINCT substr($2::bytea, n * 16 + 1, 16) AS hash
          FROM generate_series(0, length($2::bytea) / 16 - 1) AS n) AS w
 CROSS JOIN LATERAL (SELECT * FROM cso_picture
                      WHERE type_id = $1 AND secondary_hash = w.hash AND secondary_hash IS NOT NULL AND state <> 'obsolete'
                     OFFSET 0) AS p
 ORDER BY p.id
