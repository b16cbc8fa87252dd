SELECT relname AS name, n_tup_ins + n_tup_upd + n_tup_del AS n
  FROM pg_stat_user_tables
 WHERE schemaname = current_schema()
