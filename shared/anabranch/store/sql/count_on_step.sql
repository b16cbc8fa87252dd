UPDATE run_step
SET counters = jsonb_set(counters, ARRAY[$3::text], to_jsonb(coalesce((counters ->> $3::text)::bigint, 0) + $4::bigint))
WHERE run_id = $1 AND ordinal = $2
