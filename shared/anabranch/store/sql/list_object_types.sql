SELECT t.id, s.key AS system, t.key FROM object_type t LEFT JOIN system s ON s.id = t.system_id
