-- Tables of ours that have changed much since the planner last looked at them.
SELECT relname
  FROM pg_stat_user_tables
 WHERE schemaname = current_schema()
   AND n_mod_since_analyze > 500 + 0.2 * n_live_tup
 ORDER BY relname
