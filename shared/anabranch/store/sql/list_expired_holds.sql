SELECT run_id FROM hold WHERE state = 'open' AND expires_at <= anabranch_now() ORDER BY run_id
