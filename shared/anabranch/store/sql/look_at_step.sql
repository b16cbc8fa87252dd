-- A statement of its own, after the locks: its snapshot holds every commit that came before them.
SELECT count(*) AS batches,
       count(*) FILTER (WHERE state IN ('blocked', 'ready', 'leased')) AS unfinished,
       count(*) FILTER (WHERE state = 'dead') AS dead,
       coalesce(bool_or(state = 'dead' AND role = 'plan'), false) AS dead_plan,
       coalesce(bool_or(state = 'done' AND seals), false) AS sealed,
       coalesce(sum(total) FILTER (WHERE state <> 'skipped'), 0)::bigint AS total,
       (array_agg(error ORDER BY id) FILTER (WHERE state = 'dead'))[1] AS first_error
FROM batch WHERE run_id = $1 AND ordinal = $2
