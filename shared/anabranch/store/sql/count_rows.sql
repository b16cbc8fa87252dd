SELECT 'cso' AS name, count(*) AS n FROM cso
UNION ALL SELECT 'cso_sync', count(*) FROM cso_sync
UNION ALL SELECT 'cso_ref', count(*) FROM cso_ref
UNION ALL SELECT 'cso_key', count(*) FROM cso_key
UNION ALL SELECT 'mvo', count(*) FROM mvo
UNION ALL SELECT 'mvo_sync', count(*) FROM mvo_sync
UNION ALL SELECT 'mvo_ref', count(*) FROM mvo_ref
UNION ALL SELECT 'match_key', count(*) FROM match_key
UNION ALL SELECT 'reservation', count(*) FROM reservation
UNION ALL SELECT 'pending_export', count(*) FROM pending_export
UNION ALL SELECT 'pe_value', count(*) FROM pe_value
UNION ALL SELECT 'provision_pack', count(*) FROM provision_pack
UNION ALL SELECT 'import_pack', count(*) FROM import_pack
UNION ALL SELECT 'import_seen', count(*) FROM import_seen
UNION ALL SELECT 'import_verdict', count(*) FROM import_verdict
UNION ALL SELECT 'proposal', count(*) FROM proposal
UNION ALL SELECT 'proposal_pack', count(*) FROM proposal_pack
UNION ALL SELECT 'guard_op', count(*) FROM guard_op
UNION ALL SELECT 'run_item_pack', count(*) FROM run_item_pack
UNION ALL SELECT 'run_error', count(*) FROM run_error
UNION ALL SELECT 'change_seq', CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM change_seq
