SELECT object_id AS id
  FROM guard_op
 WHERE run_id = $3 AND point = $4 AND object_id BETWEEN $1 AND $2 AND verdict = 'listed'
