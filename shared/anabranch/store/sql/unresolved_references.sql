-- The unresolved references of the range whose type and attribute may lead somewhere, with the types they may lead to.
-- One look into the index of unresolved references for each attribute (OFFSET 0 keeps it so).
SELECT allowed.targets, found.*
  FROM (SELECT g.type_id, g.attr, array_agg(g.target_type_id) AS targets
          FROM unnest($3::integer[], $4::text[], $5::integer[]) AS g (type_id, attr, target_type_id)
         GROUP BY g.type_id, g.attr) AS allowed
 CROSS JOIN LATERAL (SELECT f.ctid AS place, f.cso_id, f.anchor_hash, f.secondary_hash
                       FROM cso_ref f
                      WHERE f.type_id = allowed.type_id AND f.attr = allowed.attr AND f.target_cso_id IS NULL
                        AND f.cso_id BETWEEN $1 AND $2
                     OFFSET 0) AS found
