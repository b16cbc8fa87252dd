"""All that knows PostgreSQL.

What may live here: the port (what the fleet asks of persistence), its PostgreSQL and memory keepers, claims, barriers,
migrations, and SQL in files: one statement a file, named for what it does. Every verb takes a batch; a loop around a
query is a bug.

What may not: decisions about identities (engine), Redis (bus), calls to connected systems (connectors).

Who may import it: runtime, the services and the console, which never import asyncpg themselves.
"""
