SELECT EXISTS (SELECT FROM proposal_pack WHERE run_id = $1 AND kind = 'whole_file')
