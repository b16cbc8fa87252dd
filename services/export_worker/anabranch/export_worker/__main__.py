"""`python -m anabranch.export_worker`: one export worker; run as many as the work needs."""

from __future__ import annotations

import os
import sys

from anabranch.export_worker.settings import Settings
from anabranch.export_worker.worker import run
from anabranch.runtime.service import main as service_main


def main() -> int:
    """The process from its command line to its exit code."""
    return service_main(Settings, "export-worker", run, sys.argv[1:], os.environ)


if __name__ == "__main__":
    sys.exit(main())
