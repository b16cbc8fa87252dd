UPDATE hold SET state = $2, decided_at = anabranch_now(), actor = $3, reason = $4 WHERE id = $1
