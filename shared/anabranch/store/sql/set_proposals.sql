SELECT n AS id FROM proposal WHERE run_id = $3 AND kind = $4 AND n IS NOT NULL AND n BETWEEN $1 AND $2
