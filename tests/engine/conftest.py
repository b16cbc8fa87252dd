"""What the engine's tests share: the flag that writes the expected output of scenario scripts anew."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """`pytest tests/engine --rewrite` replaces what the scripts expect by what they give; review the difference."""
    parser.addoption("--rewrite", action="store_true", help="write the expected output of scenario scripts anew")


@pytest.fixture
def rewrites(request: pytest.FixtureRequest) -> bool:
    """True when scripts are to be written anew. The flag is known only when this folder is named on the command."""
    return bool(request.config.getoption("--rewrite", default=False))
