"""`python -m anabranch.sync_worker`: one sync worker; run as many as the work needs."""

from __future__ import annotations

import os
import sys

from anabranch.runtime.service import main as service_main
from anabranch.sync_worker.settings import Settings
from anabranch.sync_worker.worker import run


def main() -> int:
    """The process from its command line to its exit code."""
    return service_main(Settings, "sync-worker", run, sys.argv[1:], os.environ)


if __name__ == "__main__":
    sys.exit(main())
