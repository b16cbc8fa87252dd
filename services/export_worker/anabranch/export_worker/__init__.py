"""The export worker: from pending exports into target systems, and the record of what became of each.

What may live here: counting what is executable, writing whole files and single objects, and recording the results, each
as a handler of the export steps.

What may not: deciding what a target should hold (that is staged by sync), SQL, stream commands, and anything another
service needs too.

Who may import it: nobody but the console's local fleet.
"""
