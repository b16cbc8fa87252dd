SELECT current_setting('server_version') AS server, current_database() AS database
