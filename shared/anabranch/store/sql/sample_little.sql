-- What the planner has to know is how large a table is, not how its values are spread.
SELECT set_config('default_statistics_target', '10', true)
