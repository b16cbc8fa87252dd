SELECT version, document::text AS document, stamps FROM config_version
WHERE version = coalesce($1::integer, (SELECT max(version) FROM config_version))
