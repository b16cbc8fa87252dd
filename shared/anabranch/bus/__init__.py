"""All that knows Redis, and the promises that Redis is asked to keep.

What may live here: the map of key names, the hint that travels on a stream, the port other rooms speak to, its Redis
and in-process keepers, the Lua steps, and the lookup cache. Everything here is a hint: losing every key at any moment
loses no work (FLT-1), so nothing in this room decides.

What may not: SQL, domain decisions, object data of any kind on the wire.

Who may import it: runtime, the services and the console; only this room imports `redis`.
"""

from anabranch.bus import redis_library

redis_library.load()
