UPDATE worker SET state = $2, last_beat = anabranch_now() WHERE id = $1
