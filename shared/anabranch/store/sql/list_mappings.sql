SELECT id, key FROM mapping
