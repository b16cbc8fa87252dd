"""What compose.yaml, the image and its lock files promise, read from the files; `make compose-check` starts them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
import yaml

from anabranch.config.settings import ServiceSettings

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
CONTAINERFILE = (ROOT / "deploy" / "Containerfile").read_text(encoding="utf-8")
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
FLEET = ("scheduler", "import-worker", "sync-worker", "export-worker")
TRACES = "traces.anabranch.internal"
_PINNED = re.compile(r"^([A-Za-z0-9_.-]+)==(\S+)(?: ; (.+?))? \\$", re.MULTILINE)

every_service = pytest.mark.parametrize("name", sorted(SERVICES))
of_the_fleet = pytest.mark.parametrize("name", FLEET)


def environment(name: str) -> dict[str, str]:
    return dict(SERVICES[name].get("environment", {}))


@every_service
def test_no_service_is_root_or_can_become_it(name: str) -> None:
    service = SERVICES[name]
    assert service["user"].split(":")[0] not in {"", "0", "root"}
    assert (service["cap_drop"], service["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
    assert not {"cap_add", "privileged", "pid", "ipc"} & service.keys()


@every_service
def test_no_service_can_write_but_to_its_volumes(name: str) -> None:
    service = SERVICES[name]
    assert (service["read_only"], service["init"]) == (True, True)
    assert "/tmp" in service["tmpfs"]  # noqa: S108 - of the container


@every_service
def test_every_service_can_be_started_a_second_time_beside_itself(name: str) -> None:
    assert not {"container_name", "hostname"} & SERVICES[name].keys()


@every_service
def test_an_image_has_a_version_and_the_name_of_none_is_latest(name: str) -> None:
    image = SERVICES[name]["image"]
    version = image.removesuffix("}").rpartition(":")[2]
    assert version != "latest"
    assert re.fullmatch(r"v?\d[\d.]*|local", version), image


@every_service
def test_no_secret_stands_in_an_environment(name: str) -> None:
    told = [
        key for key in environment(name) if re.search("PASSWORD|SECRET|TOKEN|_URL", key) and not key.endswith("_FILE")
    ]
    assert told == []


@every_service
def test_only_what_is_for_people_can_be_reached_and_from_this_machine_alone(name: str) -> None:
    ports = SERVICES[name].get("ports", [])
    assert bool(ports) == (name in {"jaeger", "prometheus"})
    assert all(port.startswith("127.0.0.1:${") for port in ports)


@pytest.mark.parametrize("name", ["postgres", "redis"])
def test_a_server_is_in_a_network_without_a_way_out(name: str) -> None:
    assert SERVICES[name]["networks"] == ["data"]
    assert COMPOSE["networks"]["data"] == {"internal": True}


@of_the_fleet
def test_the_fleet_starts_when_its_servers_are_healthy_and_the_database_is_prepared(name: str) -> None:
    needed = {other: how for other, how in SERVICES[name]["depends_on"].items() if how.get("required", True)}
    assert {other: how["condition"] for other, how in needed.items()} == {
        "migrate": "service_completed_successfully",
        "postgres": "service_healthy",
        "redis": "service_healthy",
    }
    assert {"healthcheck", "restart"} <= SERVICES[name].keys()
    assert SERVICES["migrate"]["command"] == ["anabranch", "db", "migrate"]
    assert "restart" not in SERVICES["migrate"]


@of_the_fleet
def test_the_fleet_has_more_time_to_stop_than_it_takes_to_drain(name: str) -> None:
    drain = next(one.default for one in msgspec.structs.fields(ServiceSettings) if one.name == "drain_seconds")
    assert float(SERVICES[name]["stop_grace_period"].removesuffix("s")) > drain


@of_the_fleet
def test_what_is_probed_is_the_file_the_process_touches(name: str) -> None:
    probe = SERVICES[name]["healthcheck"]["test"]
    assert probe[0] == "CMD-SHELL"
    assert f"find {environment(name)['ANABRANCH_ALIVE_FILE']} -mmin -1" in probe[1]


@of_the_fleet
def test_the_fleet_is_told_settings_that_exist(name: str) -> None:
    settings = {f"ANABRANCH_{one.upper()}" for one in ServiceSettings.__struct_fields__}
    told = {key.removesuffix("_FILE") if key.endswith("_URL_FILE") else key for key in environment(name)}
    assert {key for key in told if key.startswith("ANABRANCH_")} <= settings


@of_the_fleet
def test_prometheus_asks_every_service_where_it_answers(name: str) -> None:
    (job,) = yaml.safe_load((ROOT / "deploy" / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    (found,) = job["dns_sd_configs"]
    assert name in found["names"]
    assert environment(name)["ANABRANCH_HEALTH_PORT"] == str(found["port"])
    assert (environment(name)["ANABRANCH_HEALTH_HOST"], found["type"]) == ("0.0.0.0", "A")  # noqa: S104 - in its network


@pytest.mark.parametrize(
    ("named", "jaeger_is_there", "sent_to"),
    [
        ("", False, ""),
        ("", True, f"http://{TRACES}:4318/v1/traces"),
        ("http://collector:4318/v1/traces", True, "http://collector:4318/v1/traces"),
    ],
)
@of_the_fleet
def test_traces_go_to_the_collector_that_is_named_and_otherwise_to_jaeger_where_it_is(
    tmp_path: Path, name: str, named: str, jaeger_is_there: bool, sent_to: str
) -> None:
    known = TRACES if jaeger_is_there else "nobody"
    (tmp_path / "getent").write_text(f'#!/bin/sh\ntest "$1 $2" = "hosts {known}"\n', encoding="utf-8")
    (tmp_path / "getent").chmod(0o755)
    entrypoint = [word.replace("$$", "$") for word in SERVICES[name]["entrypoint"]]
    said = subprocess.run(
        [*entrypoint, "sh", "-c", 'echo "$1 $OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"', "sh", "two words"],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": named},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert said.stdout == f"two words {sent_to}\n"


@of_the_fleet
def test_jaeger_is_waited_for_where_its_profile_is_switched_on(name: str) -> None:
    assert SERVICES[name]["depends_on"]["jaeger"] == {"condition": "service_started", "required": False}
    assert SERVICES["jaeger"]["networks"]["default"]["aliases"] == [TRACES]


def test_the_demonstration_of_a_profile_waits_for_the_fleet_and_the_one_by_hand_starts_nothing() -> None:
    conditions = {other: how["condition"] for other, how in SERVICES["demonstration"]["depends_on"].items()}
    assert conditions == dict.fromkeys(FLEET, "service_healthy")
    assert "depends_on" not in SERVICES["demo"]
    assert SERVICES["demonstration"]["entrypoint"] == SERVICES["demo"]["entrypoint"]


def test_only_the_workers_that_need_files_have_them_and_sources_cannot_be_written() -> None:
    files = {
        name: sorted(one.partition("}:")[2] for one in SERVICES[name].get("volumes", []) if "/var/lib/anabranch" in one)
        for name in FLEET
    }
    assert files == {
        "scheduler": [],
        "import-worker": ["/var/lib/anabranch/data:ro", "/var/lib/anabranch/out:ro"],
        "sync-worker": [],
        "export-worker": ["/var/lib/anabranch/out"],
    }


def test_a_server_is_shown_its_own_password_alone() -> None:
    shown = {
        name: [one for one in SERVICES[name]["volumes"] if "/run/credentials" in one] for name in ("postgres", "redis")
    }
    assert shown == {
        "postgres": ["database-credentials:/run/credentials/database:ro"],
        "redis": ["redis-credentials:/run/credentials/redis:ro"],
    }


def test_redis_keeps_what_it_is_told_and_evicts_nothing() -> None:
    command = SERVICES["redis"]["command"][-1]
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command


def test_every_variable_is_explained_where_the_file_begins() -> None:
    text = (ROOT / "compose.yaml").read_text(encoding="utf-8")
    head, _, body = text.partition("\nname:")
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", body)) | set(SERVICES["credentials"]["build"]["args"])
    assert {name for name in used if name not in head} == set()


def test_the_image_is_not_root_and_from_a_version() -> None:
    users = re.findall(r"^USER (\S+)", CONTAINERFILE, re.MULTILINE)
    assert users[-1:] == [SERVICES["sync-worker"]["user"]]
    assert re.search(r"^ARG PYTHON_IMAGE=python:3\.\d+-slim$", CONTAINERFILE, re.MULTILINE)
    assert set(re.findall(r"^FROM (\S+)", CONTAINERFILE, re.MULTILINE)) == {"${PYTHON_IMAGE}"}


def test_what_the_image_is_built_from_is_handed_to_the_builder_and_nothing_else() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    handed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", CONTAINERFILE, re.MULTILINE)
    assert handed == {source for sources in copied for source in sources.split()}
    assert "*" in lines


def pins(lock: str) -> dict[tuple[str, str], str]:
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert len(_PINNED.findall(text)) == len(re.findall(r"^[A-Za-z0-9]", text, re.MULTILINE)), f"{lock} has other lines"
    assert "://" not in text
    return {(name, marker): version for name, version, marker in _PINNED.findall(text)}


@pytest.mark.parametrize("lock", ["deploy/requirements.lock", "deploy/requirements-build.lock"])
def test_the_image_holds_what_was_tested(lock: str) -> None:
    tested = {(name, version) for (name, _), version in pins("requirements-dev.lock").items()}
    assert {(name, version) for (name, _), version in pins(lock).items()} <= tested


def test_the_image_holds_everything_the_program_needs() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {re.split(r"[<>=; ]", one)[0].lower() for one in project["dependencies"]}
    assert needed <= {name.lower() for name, _ in pins("deploy/requirements.lock")}


def draw(directory: Path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command = ["sh", str(ROOT / "deploy" / "credentials.sh"), str(directory)]
    subprocess.run(command, check=True, env={"PATH": path}, timeout=60)


def test_passwords_are_drawn_once_and_addresses_carry_them(tmp_path: Path) -> None:
    for name in ("database", "redis"):
        (tmp_path / name).mkdir()
    draw(tmp_path)
    drawn = {
        str(file.relative_to(tmp_path)): file.read_text() for file in sorted(tmp_path.rglob("*")) if file.is_file()
    }
    assert sorted(drawn) == ["database/password", "database/url", "redis/password", "redis/url"]
    for name, user in (("database", "anabranch"), ("redis", "")):
        url = urlsplit(drawn[f"{name}/url"])
        assert (url.username, url.password) == (user, drawn[f"{name}/password"])
        assert len(drawn[f"{name}/password"]) >= 32
        assert url.hostname in SERVICES
    assert drawn["database/password"] != drawn["redis/password"]
    draw(tmp_path)
    assert {name: (tmp_path / name).read_text() for name in drawn} == drawn


@pytest.mark.parametrize("program", [None, "#!/bin/sh\necho Cannot connect to the daemon >&2\nexit 1\n"])
def test_without_a_docker_engine_the_check_says_that_it_was_skipped(tmp_path: Path, program: str | None) -> None:
    if program is not None:
        (tmp_path / "docker").write_text(program, encoding="utf-8")
        (tmp_path / "docker").chmod(0o755)
    command = [sys.executable, str(ROOT / "tools" / "compose_check.py")]
    said = subprocess.run(command, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False, timeout=60)
    assert (said.returncode, said.stderr) == (0, "")
    assert said.stdout.startswith("compose-check: skipped: no Docker Engine answers")
