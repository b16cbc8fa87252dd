"""Settings: four sources, the later the stronger, all faults at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import pytest
from msgspec import Meta

from anabranch.config.setting_sources import load_settings
from anabranch.config.settings import ServiceSettings, settings_table
from anabranch.model.errors import BadInput

NEEDED = {"ANABRANCH_DATABASE_URL": "postgresql://u:hunter2@db/x", "ANABRANCH_REDIS_URL": "redis://:hunter2@r"}


class Tuning(msgspec.Struct, frozen=True, kw_only=True):
    depth: Annotated[int, Meta(description="How deep.", ge=1)] = 2


class Extended(ServiceSettings, frozen=True, kw_only=True):
    tuning: Tuning = Tuning()


def test_defaults_need_the_two_servers_only() -> None:
    settings = load_settings(ServiceSettings, environ=NEEDED)
    assert (settings.lease_seconds, settings.drain_seconds) == (6.0, 45.0)
    assert settings.redis_cache_url == settings.redis_url
    assert (settings.publish_window, settings.concurrency, settings.lookup_cache) == (1000, 2, True)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.toml", "concurrency = 3\nhealth-port = 1\ndrain_seconds = 1\n"),
        ("s.yaml", "concurrency: 3\nhealth-port: 1\ndrain_seconds: 1\n"),
    ],
)
def test_a_file_yields_to_the_environment_and_that_to_flags(tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    environ = {**NEEDED, "ANABRANCH_HEALTH_PORT": "2", "ANABRANCH_DRAIN_SECONDS": "2.5", "HOME": "/"}
    settings = load_settings(
        ServiceSettings, file=file, environ=environ, flags={"drain_seconds": 3.0, "log_level": None}
    )
    assert (settings.concurrency, settings.health_port, settings.drain_seconds) == (3, 2, 3.0)
    assert settings.log_level == "info"


@pytest.mark.parametrize(("text", "value"), [("false", False), ("true", True), ("0", False), ("1", True)])
def test_a_flag_in_the_environment_is_true_or_false(text: str, value: bool) -> None:
    assert load_settings(ServiceSettings, environ={**NEEDED, "ANABRANCH_LOOKUP_CACHE": text}).lookup_cache is value


def test_two_underscores_reach_into_a_record(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text("[tuning]\ndepth = 7\n", encoding="utf-8")
    assert load_settings(Extended, environ={**NEEDED, "ANABRANCH_TUNING__DEPTH": "5"}).tuning.depth == 5
    assert load_settings(Extended, environ=NEEDED, file=file).tuning.depth == 7


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("redis://:fromfile@r\n", encoding="utf-8")
    environ = {"ANABRANCH_DATABASE_URL": "postgres://db/x", "ANABRANCH_REDIS_URL_FILE": str(file)}
    assert load_settings(ServiceSettings, environ=environ).redis_url == "redis://:fromfile@r"


def test_every_fault_of_every_source_is_told_at_once_without_a_secret(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text("log_format: xml\nconcurency: 2\n", encoding="utf-8")
    environ = {
        "ANABRANCH_REDIS_URL": "http://:hunter2@r",
        "ANABRANCH_REDIS_URL_FILE": str(tmp_path / "away"),
        "ANABRANCH_DRAIN_SECOND": "1",
        "ANABRANCH_LEASE_SECONDS": "nan",
        "ANABRANCH_HEALTH_PORT": "65536",
        "ANABRANCH_OF_ANOTHER": "x",
    }
    with pytest.raises(BadInput) as error:
        load_settings(
            ServiceSettings, file=file, environ=environ, flags={"sweep_seconds": 0}, also_known={"ANABRANCH_OF_ANOTHER"}
        )
    assert [str(fault).replace(str(tmp_path), "") for fault in error.value.faults] == [
        "--sweep-seconds: Expected `float` >= 0.05; found 0",
        "/s.yaml:1:13: log_format: Invalid enum value 'xml'; found 'xml'",
        "/s.yaml:2:13: there is no setting 'concurency'; did you mean 'concurrency'?",
        "ANABRANCH_DRAIN_SECOND: there is no such setting; did you mean 'ANABRANCH_DRAIN_SECONDS'?",
        "ANABRANCH_HEALTH_PORT: Expected `int` <= 65535; found '65536'",
        "ANABRANCH_LEASE_SECONDS: Expected `float` >= 0.2; found 'nan'",
        "ANABRANCH_REDIS_URL: expected a redis:// URL",
        "ANABRANCH_REDIS_URL_FILE: the file /away cannot be read: No such file or directory",
        "database_url: is not set; set ANABRANCH_DATABASE_URL, --database-url or database_url in the settings file",
    ]


@pytest.mark.parametrize(
    ("name", "text"), [("s.toml", "a = ["), ("s.yaml", "a: ["), ("s.yaml", "[a]"), ("s.toml", "\udcff")]
)
def test_a_settings_file_that_cannot_be_read_is_told(tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / name
    file.write_bytes(text.encode("utf-8", errors="surrogateescape"))
    with pytest.raises(BadInput, match=name):
        load_settings(ServiceSettings, environ=NEEDED, file=file)
    with pytest.raises(BadInput, match="the settings file cannot be read: No such file"):
        load_settings(ServiceSettings, environ=NEEDED, file=tmp_path / "away.toml")


def test_no_form_of_the_settings_shows_a_password() -> None:
    settings = load_settings(ServiceSettings, environ=NEEDED)
    assert "hunter2" not in repr(settings) + str(settings) + str(settings.shown()) + f"{settings}"
    assert settings.shown()["redis_url"] == "redis://:***@r"


def test_the_table_has_a_row_and_a_sentence_for_every_setting() -> None:
    rows = settings_table().strip().split("\n")[2:]
    assert len(rows) == len(ServiceSettings.__struct_fields__)
    assert all(row.endswith(". |") for row in rows)
    assert "| `lease_seconds` | `ANABRANCH_LEASE_SECONDS` | `--lease-seconds` | `6` |" in settings_table()
