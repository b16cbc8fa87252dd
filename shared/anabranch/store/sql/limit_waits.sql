SELECT set_config('idle_in_transaction_session_timeout', '4s', true),
       set_config('lock_timeout', $1, true)
