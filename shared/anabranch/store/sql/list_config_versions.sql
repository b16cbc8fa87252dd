SELECT version, digest, change_class, difference, author, reason, applied_at FROM config_version ORDER BY version DESC
