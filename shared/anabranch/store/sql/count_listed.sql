SELECT (SELECT count(*) FROM guard_op WHERE run_id = $1 AND point = $2 AND verdict = 'listed')
     + (SELECT coalesce(sum(objects), 0) FROM provision_pack WHERE counted_in = $1 AND $2 = 'export_writes')
