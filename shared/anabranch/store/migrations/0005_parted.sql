-- The run that last took an object of a source from the metaverse object. Until that run, or a later one of its system,
-- has matched, nobody holds the object against its targets, and no sync deletes it: what it lost may be about to come back
-- under another key.
ALTER TABLE mvo_sync ADD COLUMN parted_in bigint;

-- Whether a new join of the run's system can still give an object back what the run took from it.
CREATE FUNCTION may_be_joined_again(run_id bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT
                     FROM run parting
                    WHERE parting.id = run_id
                      AND parting.system_id IS NOT NULL
                      AND NOT EXISTS (SELECT
                                        FROM run r
                                        JOIN run_step p ON p.run_id = r.id
                                       WHERE r.system_id = parting.system_id
                                         AND r.id >= parting.id
                                         AND p.name = 'match.settle'
                                         AND p.state IN ('closed', 'closed_errors')))
$$;
