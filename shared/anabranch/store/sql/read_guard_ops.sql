SELECT point, type_id, object_id, op, reason, verdict
  FROM guard_op
 WHERE run_id = $1 AND point = $2 AND object_id BETWEEN $3 AND $4 AND verdict = 'listed'
 ORDER BY object_id
