-- What is executable (EXP-14) and made under the run's configuration is the run's.
WITH counted AS (
    UPDATE provision_pack
       SET counted_in = $2
     WHERE system_id = $1 AND config_version = $3 AND staged_run IN (@over)
 RETURNING objects
)
SELECT coalesce(sum(objects), 0) FROM counted
