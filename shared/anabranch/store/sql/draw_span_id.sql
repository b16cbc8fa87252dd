SELECT substr(md5(random()::text || clock_timestamp()::text), 1, 16)
