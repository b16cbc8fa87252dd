-- References that are unresolved and lead to exactly one CSO now (IMP-28, IMP-31). Of several candidates those of the
-- best kind count: not obsolete before obsolete, by anchor before by secondary id; two of that kind leave it unresolved.
-- Each reference is looked up by index (OFFSET 0 keeps it so): before the first ANALYZE the planner would guess badly.
WITH unresolved AS MATERIALIZED (
    SELECT r.cso_id, r.attr, r.raw, r.anchor_hash, r.secondary_hash, a.target_type_id
      FROM unnest($4::integer[], $5::text[], $6::integer[]) AS a (type_id, attr, target_type_id)
      JOIN cso_ref r ON r.type_id = a.type_id AND r.attr = a.attr
     WHERE r.target_cso_id IS NULL AND r.cso_id BETWEEN $1 AND $2
), candidate AS (
    SELECT u.cso_id, u.attr, u.raw, t.id AS target, CASE WHEN t.state = 'obsolete' THEN 2 ELSE 0 END AS kind
      FROM unresolved u
     CROSS JOIN LATERAL (SELECT c.id, c.state FROM cso c
                          WHERE c.type_id = u.target_type_id AND c.anchor_hash = u.anchor_hash OFFSET 0) AS t
    UNION ALL
    SELECT u.cso_id, u.attr, u.raw, t.id, CASE WHEN t.state = 'obsolete' THEN 3 ELSE 1 END
      FROM unresolved u
     CROSS JOIN LATERAL (SELECT c.id, c.state FROM cso c
                          WHERE c.type_id = u.target_type_id AND c.secondary_hash = u.secondary_hash
                            AND c.secondary_hash IS NOT NULL OFFSET 0) AS t
)
SELECT cso_id, attr, raw, min(target) AS target_cso_id
  FROM (SELECT *, min(kind) OVER (PARTITION BY cso_id, attr, raw) AS best FROM candidate) AS ranked
  JOIN cso_sync s USING (cso_id)
 WHERE kind = best AND s.system_id = $3
 GROUP BY cso_id, attr, raw
HAVING min(target) = max(target)
