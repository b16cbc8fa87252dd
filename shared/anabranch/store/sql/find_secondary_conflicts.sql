-- A staged row keeps its object's stored secondary id where it brings none and does not say that there is none: a partial
-- entry, or an entry with values that could not be used.
WITH living AS MATERIALIZED (
    SELECT r.type_id, r.anchor_hash, r.change,
           coalesce(r.secondary_hash,
                    CASE WHEN r.change = 'partial' OR cardinality(r.kept) > 0
                         THEN (SELECT c.secondary_hash FROM cso c
                                WHERE c.type_id = r.type_id AND c.anchor_hash = r.anchor_hash AND c.state = 'normal')
                    END) AS secondary_hash
      FROM import_row r
     WHERE r.run_id = $1
       AND r.type_id = ANY($2::integer[])
       AND NOT EXISTS (SELECT FROM import_verdict v
                        WHERE v.run_id = r.run_id AND v.type_id = r.type_id AND v.anchor_hash = r.anchor_hash)
), final AS (
    SELECT DISTINCT type_id, anchor_hash, secondary_hash
      FROM living
     WHERE secondary_hash IS NOT NULL AND change <> 'delete'
), twice AS (
    SELECT type_id, secondary_hash
      FROM final
     GROUP BY type_id, secondary_hash
    HAVING count(*) > 1
)
SELECT f.type_id, f.anchor_hash, NULL::bytea AS holder
  FROM final f
  JOIN twice t ON t.type_id = f.type_id AND t.secondary_hash = f.secondary_hash
UNION
SELECT f.type_id, f.anchor_hash, h.anchor_hash
  FROM final f
  JOIN cso h ON h.type_id = f.type_id AND h.secondary_hash = f.secondary_hash
 WHERE h.state = 'normal'
   AND h.anchor_hash <> f.anchor_hash
   AND NOT EXISTS (SELECT FROM living l WHERE l.type_id = h.type_id AND l.anchor_hash = h.anchor_hash)
 ORDER BY 1, 2, 3
