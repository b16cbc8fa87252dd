-- For this transaction alone: a pooler would lose them as settings of the session.
SELECT set_config('application_name', $1, true),
       set_config('idle_in_transaction_session_timeout', '4s', true),
       set_config('lock_timeout', '10s', true),
       set_config('statement_timeout', '55s', true),
       -- A plan made while a table was small must not outlive its growth within one run.
       set_config('plan_cache_mode', 'force_custom_plan', true),
       set_config('jit', 'off', true)
