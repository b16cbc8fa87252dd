-- References that are unresolved and lead to exactly one CSO now (IMP-28, IMP-31). Of several candidates those of the
-- best kind count: not obsolete before obsolete, by anchor before by secondary id; two of that kind leave it unresolved.
WITH allowed AS (
    SELECT * FROM unnest($4::integer[], $5::text[], $6::integer[]) AS a (type_id, attr, target_type_id)
), candidate AS (
    SELECT r.cso_id, r.attr, r.raw, t.id AS target, CASE WHEN t.state = 'obsolete' THEN 2 ELSE 0 END AS kind
      FROM allowed a
      JOIN cso_ref r ON r.type_id = a.type_id AND r.attr = a.attr
      JOIN cso t ON t.type_id = a.target_type_id AND t.anchor_hash = r.anchor_hash
     WHERE r.target_cso_id IS NULL AND r.cso_id BETWEEN $1 AND $2
    UNION ALL
    SELECT r.cso_id, r.attr, r.raw, t.id, CASE WHEN t.state = 'obsolete' THEN 3 ELSE 1 END
      FROM allowed a
      JOIN cso_ref r ON r.type_id = a.type_id AND r.attr = a.attr
      JOIN cso t ON t.type_id = a.target_type_id AND t.secondary_hash = r.secondary_hash
     WHERE r.target_cso_id IS NULL AND r.cso_id BETWEEN $1 AND $2 AND t.secondary_hash IS NOT NULL
)
SELECT cso_id, attr, raw, min(target) AS target_cso_id
  FROM (SELECT *, min(kind) OVER (PARTITION BY cso_id, attr, raw) AS best FROM candidate) AS ranked
  JOIN cso_sync s USING (cso_id)
 WHERE kind = best AND s.system_id = $3
 GROUP BY cso_id, attr, raw
HAVING min(target) = max(target)
