SELECT pg_backend_pid() FROM (SELECT set_config('anabranch.session_mark', 'kept', false)) AS marked
