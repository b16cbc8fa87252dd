SELECT max_parallel_exports FROM system WHERE id = $1 FOR NO KEY UPDATE
