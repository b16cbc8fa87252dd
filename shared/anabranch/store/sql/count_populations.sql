-- Counted once, when the run starts (GRD-1). $3 names the points its kind reaches. Normal objects are counted in two
-- parts, because each is counted from an index alone; joined ones once, for both points that measure against them,
-- with those that are in packs yet.
WITH normal AS MATERIALIZED (
    SELECT t.id AS type_id,
           (SELECT count(*) FROM cso_sync c WHERE c.type_id = t.id AND c.state = 'normal' AND NOT c.changed)
           + (SELECT count(*)
                FROM cso_sync c
               WHERE c.system_id = t.system_id AND c.type_id = t.id AND c.state = 'normal' AND c.changed) AS population
      FROM object_type t
     WHERE t.system_id = $2::integer
), joined AS MATERIALIZED (
    SELECT type_id, sum(population)::bigint AS population
      FROM (SELECT type_id, count(*) AS population FROM cso_sync WHERE mvo_id IS NOT NULL GROUP BY type_id
             UNION ALL
            SELECT type_id, sum(objects) FROM provision_pack GROUP BY type_id) AS a
     GROUP BY type_id
)
INSERT INTO run_population (run_id, point, type_id, population)
SELECT $1::bigint, 'import_obsoletions', type_id, population FROM normal WHERE 'import_obsoletions' = ANY ($3::text[])
UNION ALL
SELECT $1::bigint, 'sync_disconnections', j.type_id, j.population
FROM joined j JOIN object_type t ON t.id = j.type_id
WHERE t.system_id = $2::integer AND 'sync_disconnections' = ANY ($3::text[])
UNION ALL
SELECT $1::bigint, 'metaverse_deletions', m.type_id, count(*)
FROM mvo_sync m WHERE 'metaverse_deletions' = ANY ($3::text[])
GROUP BY m.type_id
UNION ALL
SELECT $1::bigint, 'outbound_releases', type_id, population FROM joined WHERE 'outbound_releases' = ANY ($3::text[])
UNION ALL
SELECT $1::bigint, 'export_writes', type_id, population FROM normal WHERE 'export_writes' = ANY ($3::text[])
