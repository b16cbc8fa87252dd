DELETE FROM proposal USING run WHERE run.id = proposal.run_id AND run.ended_at IS NOT NULL
