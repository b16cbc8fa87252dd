"""The lock file, resolved anew: one file for every supported Python and platform, each package with its hashes.

The resolver (uv) is installed into a temporary environment, so developers need not have it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder) / "bin" / "python")
        steps = [
            [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv"],
            [
                *[python, "-m", "uv", "pip", "compile", "pyproject.toml", "--extra", "local", "--group", "dev"],
                *["--universal", "--python-version", "3.11", "--generate-hashes", "--no-annotate"],
                *["--no-emit-index-url", "--system-certs", "--quiet", "--custom-compile-command", "make lock"],
                *["--output-file", "requirements-dev.lock", *sys.argv[1:]],
            ],
        ]
        for step in steps:
            finished = subprocess.run(step, check=False, cwd=ROOT)  # noqa: S603 - fixed commands
            if finished.returncode != 0:
                return finished.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
