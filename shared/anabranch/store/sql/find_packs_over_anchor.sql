SELECT id FROM provision_pack WHERE type_id = $1 AND lo_anchor <= $2 AND hi_anchor >= $2 ORDER BY id
