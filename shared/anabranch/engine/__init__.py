"""The decisions: records in, decisions out.

What may live here: scope, matching, projection, flow with the expression language, elections, references, deletion,
export evaluation, confirmation, and the compilation of a configuration into functions that do these.

What may not: I/O of any kind, clocks, randomness, threads, and mutation of an argument. Time, ids and what was looked
up are arguments. The room can be imported alone.

Who may import it: config (to check expressions) and every room above.
"""
