SELECT id, key FROM system
