#!/bin/sh
# Print the first Python of 3.11 or newer that can make virtual environments; say what is missing when there is none.
lacking=""
for candidate in "$PYTHON" python3 python3.14 python3.13 python3.12 python3.11 python; do
    [ -n "$candidate" ] || continue
    found=$(command -v "$candidate" 2>/dev/null) || continue
    "$found" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || continue
    if "$found" -c 'import ensurepip, venv' >/dev/null 2>&1; then
        echo "$found"
        exit 0
    fi
    lacking="$found"
done
if [ -n "$lacking" ]; then
    echo "anabranch: $lacking cannot make virtual environments (no venv or ensurepip)." >&2
    echo "  Debian and Ubuntu: apt install python3-venv; then run make again." >&2
else
    echo "anabranch: no Python 3.11 or newer was found on the PATH." >&2
    echo "  Install one (Debian and Ubuntu: apt install python3 python3-venv), or name one: make PYTHON=/path/to/python3" >&2
fi
exit 1
