SELECT pg_backend_pid() AS pid, current_setting('anabranch.session_mark', true) AS mark
