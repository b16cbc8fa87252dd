SELECT s.state, EXISTS (SELECT FROM run_step n WHERE n.run_id = s.run_id AND n.ordinal > s.ordinal) AS followed
FROM run_step s WHERE s.run_id = $1 AND s.ordinal = $2
FOR NO KEY UPDATE OF s
