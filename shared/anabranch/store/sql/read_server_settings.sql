SELECT current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('server_encoding') AS server_encoding,
       pg_is_in_recovery() AS in_recovery
