"""Secrets: referred to, resolved once, never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from anabranch.config.masking import mask_urls
from anabranch.config.secret_references import resolve_secrets
from anabranch.model.configuration import Configuration
from anabranch.model.errors import BadInput


def test_a_stored_configuration_holds_the_reference_only(
    school: Configuration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTER_PASSWORD", "hunter2")
    assert "${env:REGISTER_PASSWORD}" in school.systems["register"].options.values()


def test_references_become_secrets_in_a_copy(tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_bytes(b"abc\r\n")
    options = {"url": "db://u:${env:PW}@${env:HOST}/", "deep": [{"token": f"${{file:{secret}}}"}], "port": 1}
    resolved = resolve_secrets(options, {"PW": "p${env:HOST}", "HOST": "h"})
    assert resolved == {"url": "db://u:p${env:HOST}@h/", "deep": [{"token": "abc"}], "port": 1}
    assert options["port"] == 1
    assert options["deep"] == [{"token": f"${{file:{secret}}}"}]


def test_everything_that_cannot_be_resolved_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff")
    options = {
        "a": "${env:AWAY}",
        "b": f"${{file:{tmp_path}/away}}",
        "c": [f"${{file:{tmp_path}/binary}}"],
        "d": f"${{file:{tmp_path}}}",
        "e": "${env:KNOWN} ${env:}",
    }
    with pytest.raises(BadInput) as error:
        resolve_secrets(options, {"KNOWN": "hunter2"}, "systems.hr.options")
    assert [str(fault) for fault in error.value.faults] == [
        "systems.hr.options.a: the environment variable AWAY is not set; set it for this service",
        f"systems.hr.options.b: the secret file {tmp_path}/away cannot be read: No such file or directory",
        f"systems.hr.options.c.0: the secret file {tmp_path}/binary is not UTF-8",
        f"systems.hr.options.d: the secret file {tmp_path} cannot be read: Is a directory",
        "systems.hr.options.e: ${env:} names no environment variable; write ${env:NAME}",
    ]


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("postgresql://anna:pw@host:5432/db", "postgresql://anna:***@host:5432/db"),
        ("redis://:p%40w@host", "redis://:***@host"),
        ("redis://:p@w/x@host", "redis://:***@host"),
        ("cannot reach 'redis://u:p@h/0'", "cannot reach 'redis://u:***@h/0'"),
        ("postgresql://host/db?user=u&password=pw&x=1", "postgresql://host/db?user=u&password=***&x=1"),
        ("http://host:8080/path", "http://host:8080/path"),
    ],
)
def test_a_password_in_a_url_is_hidden(url: str, masked: str) -> None:
    assert mask_urls(url) == masked
