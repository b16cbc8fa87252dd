"""How a process of the fleet lives: it starts, works, drains and stops, and so do the servers it brings along.

What may live here: the life of a service, its consumer loop, leader lease, retry and backoff, clocks, and the embedded
PostgreSQL and Redis-protocol servers that a bare machine is given.

What may not: decisions about identities (engine), SQL (store), stream commands (bus), anything that only one service
needs, and any direct use of a PostgreSQL or Redis client.

Who may import it: the services and the console. It may import store, bus, connectors and every room below them.
"""
