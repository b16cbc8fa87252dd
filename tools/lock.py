"""The lock files, resolved anew, each package with its hashes.

`requirements-dev.lock` is for developers: one file for every supported Python and platform. What the container image
holds follows from it, in the same versions: `deploy/requirements.lock` is what the program needs, and
`deploy/requirements-build.lock` what makes a package of it. The resolver (uv) is installed into a temporary
environment, so developers need not have it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
DEVELOPMENT: Final = "requirements-dev.lock"
LOCKS: Final = {
    DEVELOPMENT: ["pyproject.toml", "--extra", "local", "--group", "dev"],
    "deploy/requirements.lock": ["pyproject.toml"],
    "deploy/requirements-build.lock": ["--group", "build"],
}
"""Lock file to what it is resolved from. The first one decides the versions of the others."""
_FORM: Final = (
    *("--universal", "--python-version", "3.11", "--generate-hashes", "--no-annotate"),
    *("--no-emit-index-url", "--system-certs", "--quiet", "--custom-compile-command", "make lock"),
)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder) / "bin" / "python")
        steps = [[python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "uv"]]
        for lock, sources in LOCKS.items():
            wishes = sys.argv[1:] if lock == DEVELOPMENT else ["--constraints", DEVELOPMENT]
            steps.append([python, "-m", "uv", "pip", "compile", *sources, *_FORM, *wishes, "--output-file", lock])
        for step in steps:
            finished = subprocess.run(step, check=False, cwd=ROOT)  # noqa: S603 - fixed commands
            if finished.returncode != 0:
                return finished.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
