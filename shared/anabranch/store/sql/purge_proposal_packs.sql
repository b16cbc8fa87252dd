DELETE FROM proposal_pack USING run WHERE run.id = proposal_pack.run_id AND run.ended_at IS NOT NULL
