-- Counted once, when the run starts (GRD-1). $3 names the points its kind reaches.
INSERT INTO run_population (run_id, point, type_id, population)
SELECT $1::bigint, 'import_obsoletions', t.id, (SELECT count(*) FROM cso_sync c WHERE c.type_id = t.id AND c.state = 'normal')
FROM object_type t WHERE t.system_id = $2::integer AND 'import_obsoletions' = ANY ($3::text[])
UNION ALL
SELECT $1::bigint, 'sync_disconnections', s.type_id, count(*)
FROM cso_sync s WHERE s.system_id = $2::integer AND s.mvo_id IS NOT NULL AND 'sync_disconnections' = ANY ($3::text[])
GROUP BY s.type_id
UNION ALL
SELECT $1::bigint, 'metaverse_deletions', m.type_id, count(*)
FROM mvo_sync m WHERE 'metaverse_deletions' = ANY ($3::text[])
GROUP BY m.type_id
UNION ALL
SELECT $1::bigint, 'outbound_releases', s.type_id, count(*)
FROM cso_sync s WHERE s.mvo_id IS NOT NULL AND 'outbound_releases' = ANY ($3::text[])
GROUP BY s.type_id
UNION ALL
SELECT $1::bigint, 'export_writes', t.id, (SELECT count(*) FROM cso_sync c WHERE c.type_id = t.id AND c.state = 'normal')
FROM object_type t WHERE t.system_id = $2::integer AND 'export_writes' = ANY ($3::text[])
