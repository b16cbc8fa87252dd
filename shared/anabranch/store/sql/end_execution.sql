UPDATE execution SET state = $2, ended_at = anabranch_now() WHERE id = $1
