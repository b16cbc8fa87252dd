SELECT kind, object_id, order_key, body, n
  FROM proposal
 WHERE run_id = $1 AND kind = $2 AND n IS NOT NULL AND n BETWEEN $3 AND $4
 ORDER BY n
