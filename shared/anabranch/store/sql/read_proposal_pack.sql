SELECT objects FROM proposal_pack WHERE run_id = $1 AND kind = $2 AND batch_id = $3
