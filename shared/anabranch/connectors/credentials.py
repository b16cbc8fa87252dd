"""The attributes that are never read, whatever a source offers.

A password, or the hash of one, that reached the connector space would be kept, compared, shown and backed up with
everything else. So an attribute whose name says that it holds one is refused in the declaration of a connected system
and left out of every read (IMP-7).
"""

from __future__ import annotations

from typing import Final

_NAMES: Final = frozenset(
    {
        "authpassword",
        "clearpassword",
        "dbcspwd",
        "krbprincipalkey",
        "lmpwdhistory",
        "ntpwdhistory",
        "password",
        "passwordhash",
        "passwordhistory",
        "passwd",
        "pwdhistory",
        "sambalmpassword",
        "sambantpassword",
        "sambapasswordhistory",
        "supplementalcredentials",
        "unicodepwd",
        "userpassword",
    }
)


def holds_credentials(attribute: str) -> bool:
    """True for a name under which directories and exports keep passwords; case, `-`, `_` and options do not count."""
    name = attribute.partition(";")[0]
    return name.replace("-", "").replace("_", "").replace(" ", "").lower() in _NAMES
