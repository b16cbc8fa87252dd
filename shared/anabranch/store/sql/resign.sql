UPDATE fleet_term SET holder = NULL, lease_until = NULL WHERE holder = $1
