SELECT c.relname AS name, format('%I', c.relname) AS quoted
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind = 'r' AND n.nspname = current_schema()
 ORDER BY c.relname
