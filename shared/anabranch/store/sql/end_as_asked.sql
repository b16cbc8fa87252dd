UPDATE run SET state = 'cancelling', ending_since = anabranch_now() WHERE id = $1 AND state = 'running'
