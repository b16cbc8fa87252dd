-- References that are unresolved and lead to exactly one CSO now (IMP-28, IMP-31). Of several candidates those of the
-- best kind count: not obsolete before obsolete, by anchor before by secondary id; two of that kind leave it unresolved.
-- Each is looked up by index (OFFSET 0 keeps it so): before the first ANALYZE the planner would guess badly. Secondary
-- ids are looked at only where no anchor has decided.
SELECT r.place, r.cso_id, t.target_cso_id
  FROM (@unresolved) AS r
 CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE c.state <> 'obsolete') AS living,
                            min(c.id) FILTER (WHERE c.state <> 'obsolete') AS alive,
                            count(*) FILTER (WHERE c.state = 'obsolete') AS leaving,
                            min(c.id) FILTER (WHERE c.state = 'obsolete') AS obsolete
                       FROM cso c
                      WHERE c.type_id = ANY (r.targets) AND c.anchor_hash = r.anchor_hash
                     OFFSET 0) AS a
 CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE c.state <> 'obsolete') AS living,
                            min(c.id) FILTER (WHERE c.state <> 'obsolete') AS alive,
                            count(*) FILTER (WHERE c.state = 'obsolete') AS leaving,
                            min(c.id) FILTER (WHERE c.state = 'obsolete') AS obsolete
                       FROM cso c
                      WHERE a.living = 0 AND c.type_id = ANY (r.targets)
                        AND c.secondary_hash = r.secondary_hash AND c.secondary_hash IS NOT NULL
                     OFFSET 0) AS s
 CROSS JOIN LATERAL (SELECT CASE WHEN a.living > 0 THEN CASE a.living WHEN 1 THEN a.alive END
                                 WHEN s.living > 0 THEN CASE s.living WHEN 1 THEN s.alive END
                                 WHEN a.leaving > 0 THEN CASE a.leaving WHEN 1 THEN a.obsolete END
                                 WHEN s.leaving = 1 THEN s.obsolete END AS target_cso_id) AS t
 WHERE t.target_cso_id IS NOT NULL
