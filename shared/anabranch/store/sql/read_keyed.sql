SELECT type_id, attr FROM keyed
