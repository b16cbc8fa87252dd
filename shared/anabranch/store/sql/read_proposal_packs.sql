SELECT batch_id, objects, contests FROM proposal_pack WHERE run_id = $1 AND kind = $2 ORDER BY batch_id
