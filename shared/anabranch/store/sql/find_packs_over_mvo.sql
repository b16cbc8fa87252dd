SELECT id FROM provision_pack WHERE mvo_type_id = $1 AND lo_mvo <= $2 AND hi_mvo >= $2 ORDER BY id
