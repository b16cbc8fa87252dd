-- For a statement that reads most objects of one type ('off'), and after it ('on'): they lie together, which the planner
-- does not know. It would go through the pages of all types.
SELECT set_config('enable_seqscan', $1, true), set_config('enable_indexscan', $1, true)
