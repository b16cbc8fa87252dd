SELECT config_version FROM run WHERE id = $1
