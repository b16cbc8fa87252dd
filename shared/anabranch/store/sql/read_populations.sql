SELECT type_id, population FROM run_population WHERE run_id = $1 AND point = $2
