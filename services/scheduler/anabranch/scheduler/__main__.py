"""`python -m anabranch.scheduler`: one scheduler; several of them do no harm and no more work."""

from __future__ import annotations

import os
import sys

from anabranch.runtime.service import main as service_main
from anabranch.scheduler.settings import Settings
from anabranch.scheduler.worker import run


def main() -> int:
    """The process from its command line to its exit code."""
    return service_main(Settings, "scheduler", run, sys.argv[1:], os.environ)


if __name__ == "__main__":
    sys.exit(main())
