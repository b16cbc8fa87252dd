SELECT id, type_id, config_version, objects, lo_anchor, hi_anchor FROM provision_pack WHERE system_id = $1 ORDER BY id
