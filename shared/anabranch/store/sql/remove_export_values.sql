DELETE FROM pe_value WHERE export_id = ANY($1::bigint[])
