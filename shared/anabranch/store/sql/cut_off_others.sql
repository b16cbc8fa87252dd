-- Each is waited for, ten seconds at most.
SELECT pg_terminate_backend(pid, 10000)
  FROM pg_stat_activity
 WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
