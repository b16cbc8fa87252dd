-- A transaction whose worker has not beaten for one lease, or a batch's transaction older than 60 seconds. The server's
-- own time-outs do not reach a backend that waits inside a COPY or while it sends a result.
WITH frozen AS MATERIALIZED (
    SELECT a.pid
    FROM pg_stat_activity a
    JOIN worker w ON a.application_name IN ($2 || w.id, $3 || w.id)
    WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.xact_start IS NOT NULL
      AND (w.last_beat < anabranch_now() - make_interval(secs => $1)
           OR a.application_name = $3 || w.id AND a.xact_start < clock_timestamp() - interval '60 s')
)
SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM frozen
