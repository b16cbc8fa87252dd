INSERT INTO config_version (version, digest, document, stamps, change_class, difference, author, reason)
SELECT coalesce(max(version), 0) + 1, $1, $2::text::jsonb, $3, $4, $5, $6, $7 FROM config_version
RETURNING version
