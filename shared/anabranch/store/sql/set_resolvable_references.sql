SELECT DISTINCT cso_id AS id FROM (@resolvable) AS reference
