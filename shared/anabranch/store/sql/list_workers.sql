SELECT id AS worker, kind, version, host, pid, state, started_at, last_beat,
       extract(epoch FROM anabranch_now() - last_beat)::float8 AS silent_seconds, holds
FROM worker ORDER BY kind, id
