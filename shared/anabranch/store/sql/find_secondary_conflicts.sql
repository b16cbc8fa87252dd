-- A staged row keeps its object's stored secondary id where it brings none and does not say that there is none: a partial
-- entry, or an entry with values that could not be used.
WITH final AS MATERIALIZED (
    SELECT DISTINCT type_id, anchor_hash, secondary_hash
      FROM (SELECT r.type_id, r.anchor_hash,
                   coalesce(r.secondary_hash,
                            CASE WHEN r.change = 'partial' OR cardinality(r.kept) > 0
                                 THEN (SELECT c.secondary_hash FROM cso c
                                        WHERE c.type_id = r.type_id AND c.anchor_hash = r.anchor_hash
                                          AND c.state = 'normal')
                            END) AS secondary_hash
              FROM import_row r
             WHERE r.run_id = $1
               AND r.type_id = ANY($2::integer[])
               AND r.change <> 'delete'
               AND NOT EXISTS (SELECT FROM import_verdict v
                                WHERE v.run_id = r.run_id AND v.type_id = r.type_id
                                  AND v.anchor_hash = r.anchor_hash)) AS living
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
   AND NOT EXISTS (SELECT FROM import_row x
                    WHERE x.run_id = $1 AND x.type_id = f.type_id AND x.anchor_hash = h.anchor_hash
                      AND NOT EXISTS (SELECT FROM import_verdict v
                                       WHERE v.run_id = $1 AND v.type_id = x.type_id AND v.anchor_hash = x.anchor_hash))
 ORDER BY 1, 2, 3
