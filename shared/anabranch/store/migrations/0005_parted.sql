-- The run that last took an object of a source from the metaverse object. Until that run, or a later one of its system,
-- has matched, nobody holds the object against its targets: what it lost may be about to come back under another key.
ALTER TABLE mvo_sync ADD COLUMN parted_in bigint;
