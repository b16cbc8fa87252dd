-- Attributes of which every object of the type has its look-up keys (`match_key`, `cso_key`): a configuration that looks
-- for an attribute that is not here first completes its keys.
CREATE TABLE keyed (
    type_id integer NOT NULL,
    attr    text COLLATE "C" NOT NULL,
    PRIMARY KEY (type_id, attr)
);
