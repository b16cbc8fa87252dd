-- The exports of the CSOs given, found by these alone: what stands behind OFFSET 0 is planned apart.
SELECT x.*
  FROM unnest(@csos::bigint[]) AS u (cso_id)
 CROSS JOIN LATERAL (SELECT * FROM pending_export WHERE cso_id = u.cso_id OFFSET 0) AS x
