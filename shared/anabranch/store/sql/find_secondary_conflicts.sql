-- A staged row keeps its object's stored secondary id where it brings none and does not say that there is none: a partial
-- entry, or an entry with values that could not be used. The concatenation makes each column of a pack be fetched once.
WITH pack AS MATERIALIZED (
    SELECT type_id, gone, length(hashes) / 16 AS total, hashes || ''::bytea AS hashes,
           secondaries || ''::bytea AS secondaries
      FROM import_pack
     WHERE run_id = $1 AND type_id = ANY($2::integer[])
), living AS MATERIALIZED (
    SELECT *
      FROM (SELECT p.type_id, p.gone, substr(p.hashes, n * 16 + 1, 16) AS anchor_hash,
                   coalesce(get_byte(p.secondaries, n * 17), 0) AS told,
                   substr(p.secondaries, n * 17 + 2, 16) AS told_hash
              FROM pack p
             CROSS JOIN LATERAL generate_series(0, p.total - 1) AS n) AS staged
     WHERE NOT EXISTS (SELECT FROM import_verdict v
                        WHERE v.run_id = $1 AND v.type_id = staged.type_id AND v.anchor_hash = staged.anchor_hash)
), final AS MATERIALIZED (
    SELECT DISTINCT type_id, anchor_hash, secondary_hash
      FROM (SELECT r.type_id, r.anchor_hash,
                   CASE r.told
                   WHEN 1 THEN r.told_hash
                   WHEN 2 THEN (SELECT c.secondary_hash FROM cso c
                                 WHERE c.type_id = r.type_id AND c.anchor_hash = r.anchor_hash AND c.state = 'normal')
                   END AS secondary_hash
              FROM living r
             WHERE NOT r.gone AND r.told > 0) AS ending
     WHERE secondary_hash IS NOT NULL
)
SELECT type_id, anchor_hash, NULL::bytea AS holder
  FROM (SELECT *, count(*) OVER (PARTITION BY type_id, secondary_hash) AS sharing FROM final) AS counted
 WHERE sharing > 1
UNION
SELECT f.type_id, f.anchor_hash, h.anchor_hash
  FROM final f
 CROSS JOIN LATERAL (SELECT c.anchor_hash FROM cso c
                      WHERE c.type_id = f.type_id AND c.secondary_hash = f.secondary_hash
                        AND c.secondary_hash IS NOT NULL AND c.state = 'normal' OFFSET 0) AS h
 WHERE h.anchor_hash <> f.anchor_hash
   AND NOT EXISTS (SELECT FROM living x WHERE x.type_id = f.type_id AND x.anchor_hash = h.anchor_hash)
 ORDER BY 1, 2, 3
