-- What a next run would take up: errors that stand, changes nobody has evaluated, references that wait.
SELECT jsonb_build_array(n.key, s.failed, s.change_seq > s.synced_seq, s.refs_due)::text AS line
  FROM cso_sync s
  JOIN cso_name n ON n.id = s.cso_id
 WHERE s.state <> 'pending_provisioning' AND (s.failed OR s.change_seq > s.synced_seq OR s.refs_due)
 ORDER BY n.key, line
