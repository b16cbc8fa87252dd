-- What the run's batches and steps counted, added up by name.
SELECT c.key, sum(c.value::bigint)::bigint AS total
FROM (SELECT counters FROM batch WHERE run_id = $1
      UNION ALL SELECT counters FROM run_step WHERE run_id = $1) counted
CROSS JOIN LATERAL jsonb_each_text(counted.counters) c
GROUP BY c.key
