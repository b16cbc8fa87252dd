-- Types of systems, and metaverse types where the system is null.
INSERT INTO object_type (system_id, key)
SELECT s.id, g.key
FROM unnest($1::text[], $2::text[]) AS g (system, key)
LEFT JOIN system s ON s.key = g.system
ORDER BY g.system, g.key
ON CONFLICT (coalesce(system_id, 0), key) DO NOTHING
