"""The operator's side: the command line, a fleet on this machine, and the demonstration.

May live here: what a person uses to start, drive and look at a fleet, and what shows it at work. May not live here: any
decision about identities or batches, SQL, or a Redis command; those belong to engine, store and bus. Nothing imports
this room; it may import every other, and imports the heavy ones inside the command that needs them, so that `--help`
answers at once.
"""
