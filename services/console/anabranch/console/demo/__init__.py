"""A whole organisation run through a real fleet, to see it work before trusting it.

May live here: the generator of the organisation's files, the cycles of the demonstration and what they show. May not
live here: anything a fleet of one's own needs; the demonstration uses the same commands, processes and tables as
everybody else. Imported by the command line alone.
"""
