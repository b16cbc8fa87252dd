"""compose.yaml, really started: `make compose-check`. Says that it was skipped where no Docker Engine answers.

The image is built, and the demonstration played twice. Once undisturbed, with one sync worker; once with three, which
are made four and three again while it goes on, and of which one is killed with a batch in its hands. Both must end in
the same state and the same target files, hash for hash. The second time Jaeger and Prometheus are there: Jaeger must
have one whole trace of each cycle, Prometheus figures of every replica. Of every container it is looked up that it is
not root and cannot write; and in the end nothing may be left. A project name of its own keeps all of this apart from a
fleet that runs on the same engine.

Needs the standard library only.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

ROOT: Final = Path(__file__).resolve().parents[1]
FLEET: Final = ("scheduler", "import-worker", "sync-worker", "export-worker")
HASHES: Final = re.compile(r"^  (state hash|directory\.ldif|phonebook\.csv) +([0-9a-f]{64})$", re.MULTILINE)
_CYCLES: Final = 4
_WHOLE: Final = re.compile(r"^[0-9a-f]{32}: (.+); redelivered (\d+); whole$", re.MULTILINE)
_CYCLE: Final = re.compile(r"Cycle (\d):")
_IN_HAND: Final = """
SELECT b.id, b.claim, s.name, b.total, split_part(b.owner, '-', 2)
  FROM batch b JOIN run_step s ON s.run_id = b.run_id AND s.ordinal = b.ordinal
 WHERE b.state = 'leased' AND b.role = 'work' AND b.total > 1 AND b.owner LIKE 'sync-%'
"""
_HELD: Final = "BEGIN; LOCK TABLE mvo_sync IN SHARE MODE; SELECT pg_sleep(3); ROLLBACK"
"""While this goes on, whoever writes to the metaverse waits in its commit, with its batch in its hands."""
_PSQL: Final = (
    "exec", "--no-TTY", "postgres", "psql", "--username=anabranch", "--dbname=anabranch", "--tuples-only", "--no-align",
)  # fmt: skip
_ITS_COMMIT: Final = "SELECT 1 FROM batch WHERE id = {batch} AND claim = '{claim}' AND state <> 'leased'"
_SECONDS: Final = 90.0
"""So long a fact may take to be seen by Prometheus and Jaeger; they ask and are told every few seconds."""

T = TypeVar("T")


class CheckFailed(Exception):
    """Something is not as compose.yaml promises."""


def say(text: str) -> None:
    print(f"compose-check: {text}", flush=True)


def demand(fact: bool, otherwise: str) -> None:
    if not fact:
        raise CheckFailed(otherwise)


def ask(*command: str, env: dict[str, str] | None = None, patience: float = 900.0) -> str:
    """What the command writes to stdout. Raises CheckFailed with what it said when it fails."""
    done = subprocess.run(  # noqa: S603 - commands of this file
        command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=patience
    )
    if done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-30:])
        raise CheckFailed(f"{' '.join(command)} ended with {done.returncode}:\n{said}")
    return done.stdout


def until(fact: Callable[[], T | None], words: str, seconds: float = _SECONDS) -> T:
    """What the fact is, as soon as it is one."""
    deadline = time.monotonic() + seconds
    while True:
        found = fact()
        if found:
            return found
        demand(time.monotonic() < deadline, f"after {seconds:.0f} s it is not so: {words}")
        time.sleep(0.5)


def missing_engine() -> str | None:
    """Why the check cannot be made here; None when it can."""
    if shutil.which("docker") is None:
        return "no Docker Engine answers (there is no `docker` on the PATH)"
    for command, what in (
        (("docker", "version", "--format", "{{.Server.Version}}"), "no Docker Engine answers"),
        (("docker", "compose", "version"), "there is no Docker Compose, version 2"),
    ):
        try:
            ask(*command, patience=30.0)
        except (CheckFailed, subprocess.TimeoutExpired):
            return what
    return None


class Project:
    """One fleet of compose.yaml under a name of its own, with volumes of its own."""

    def __init__(self, name: str, *profiles: str) -> None:
        self.name = name
        self._options = ["--project-name", name, *(f"--profile={profile}" for profile in profiles)]
        ours = ("ANABRANCH_", "COMPOSE_", "OTEL_")
        self._env = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
        self._env |= {
            "ANABRANCH_DATA": "data",
            "ANABRANCH_OUT": "out",
            "ANABRANCH_IMAGE": "anabranch:check",
            "ANABRANCH_JAEGER_PORT": "0",
            "ANABRANCH_PROMETHEUS_PORT": "0",
        }
        self._mounted: set[str] = set()

    def compose(self, *arguments: str, patience: float = 900.0) -> str:
        return ask("docker", "compose", *self._options, *arguments, env=self._env, patience=patience)

    def start(self, sync_workers: int) -> None:
        """Every service is healthy."""
        self.compose("up", "--detach", "--wait", "--scale", f"sync-worker={sync_workers}")
        for one in self.inspected():
            self._mounted |= {mount["Name"] for mount in one["Mounts"] if mount["Type"] == "volume"}

    def scale(self, sync_workers: int) -> None:
        wished = f"sync-worker={sync_workers}"
        self.compose("up", "--detach", "--no-deps", "--no-recreate", "--scale", wished, "sync-worker")
        running = len(self.containers("sync-worker"))
        demand(running == sync_workers, f"{wished} was wished for, {running} run")

    def containers(self, *services: str) -> list[str]:
        return self.compose("ps", "--quiet", *services).split()

    def inspected(self) -> list[dict[str, Any]]:
        everything: list[dict[str, Any]] = json.loads(ask("docker", "inspect", *self.containers("--all")))
        return everything

    def console(self, *command: str) -> str:
        return self.compose("run", "--rm", "--no-TTY", "console", *command)

    def query(self, statement: str) -> list[list[str]]:
        """The rows of a statement, each as a list of texts."""
        said = self.compose(*_PSQL, "--command", " ".join(statement.split()))
        return [line.split("|") for line in said.splitlines() if line]

    @contextmanager
    def meanwhile(self, statements: str) -> Iterator[Callable[[], bool]]:
        """The statements go on inside the block, which can ask whether they still do; at its end they are over."""
        going = subprocess.Popen(  # noqa: S603 - commands of this file
            ["docker", "compose", *self._options, *_PSQL, "--command", statements],  # noqa: S607 - on the PATH, as in `ask`
            cwd=ROOT,
            env=self._env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield lambda: going.poll() is None
        finally:
            going.wait(timeout=60.0)

    @contextmanager
    def demonstration(self, people: int) -> Iterator[Demonstration]:
        command = ["docker", "compose", *self._options, "run", "--rm", "--no-TTY", "demo"]
        with subprocess.Popen(  # noqa: S603 - a command of this file
            [*command, "--people", str(people)],
            cwd=ROOT,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                yield Demonstration(process)
            finally:
                process.terminate()

    def address(self, service: str, port: int) -> str:
        return f"http://{self.compose('port', service, str(port)).strip()}"

    def logs(self) -> str:
        return self.compose("logs", "--no-color", "--tail", "15")

    def remove(self) -> None:
        """The fleet is gone with everything it kept."""
        self.compose("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "70")

    def remains(self) -> list[str]:
        """What is left of it on this engine."""
        label = f"label=com.docker.compose.project={self.name}"
        kept = ask("docker", "ps", "--all", "--quiet", "--filter", label).split()
        kept += ask("docker", "network", "ls", "--quiet", "--filter", label).split()
        volumes = set(ask("docker", "volume", "ls", "--quiet").split())
        return kept + sorted(name for name in volumes if name in self._mounted or name.startswith(f"{self.name}_"))


class Demonstration:
    """`anabranch demo --on-fleet` in a container, read while it speaks."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._lines: list[str] = []
        self._cycle = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 - it was asked for
        with suppress(ValueError):  # closed by whoever gave up on it
            for line in self._process.stdout:
                self._lines.append(line)
                if begun := _CYCLE.search(line):
                    self._cycle = int(begun[1])

    @property
    def goes_on(self) -> bool:
        return self._process.poll() is None

    def wait_for_cycle(self, number: int) -> None:
        until(lambda: self._cycle >= number or not self.goes_on, f"cycle {number} has begun", 600.0)
        demand(self._cycle == number and self.goes_on, f"cycle {number} was over too soon; try more --people")

    def still_in(self, number: int) -> bool:
        return self._cycle == number and self.goes_on

    def hashes(self) -> dict[str, str]:
        """Of the state and of each target file, when it has ended well."""
        self._process.wait(timeout=1200.0)
        self._reader.join(timeout=30.0)
        said = "".join(self._lines)
        demand(self._process.returncode == 0, f"the demonstration failed:\n{said[-4000:]}")
        found = dict(HASHES.findall(said))
        demand(len(found) == 3, f"the demonstration told no hashes:\n{said[-2000:]}")
        return found


def check_confinement(project: Project) -> None:
    """No container runs as root, can write to its own file system, or has a capability."""
    containers = project.inspected()
    for one in containers:
        name, host = one["Name"].lstrip("/"), one["HostConfig"]
        demand(one["Config"]["User"] not in {"", "0", "root", "0:0"}, f"{name} runs as root")
        demand(host["ReadonlyRootfs"], f"{name} can write to its file system")
        demand(host["CapDrop"] == ["ALL"] and not host["CapAdd"], f"{name} has capabilities")
        demand("no-new-privileges:true" in host["SecurityOpt"], f"{name} may gain privileges")
    say(f"{len(containers)} containers: none is root, none can write to its own file system, none has a capability")


def kill_in_work(project: Project, demonstration: Demonstration, cycle: int) -> str:
    """A sync worker was killed with a batch in its hands; what was seen. A batch is over in less time than it takes to
    reach its container, so its commit is held up until then."""
    while demonstration.still_in(cycle):
        containers = {one[:12]: one for one in project.containers("sync-worker")}
        demand(len(containers) > 1, "no worker could be killed in the middle of a batch, and only one is left")
        with project.meanwhile(_HELD) as goes_on:
            held = _stuck_with_work(project, goes_on)
            if held is None or held[-1] not in containers:
                continue
            batch, claim, step, objects, host = held
            ask("docker", "kill", containers[host])
            state = json.loads(ask("docker", "inspect", containers[host]))[0]["State"]
            demand(state["ExitCode"] == 137 and not state["Running"], f"it was not killed: {state}")
            if project.query(_ITS_COMMIT.format(batch=batch, claim=claim)):
                continue  # the commit was on its way already; the next one
            return f"{host} was killed with batch {batch} ({step}, {objects} objects) in its hands"
    raise CheckFailed(f"no sync worker was caught with a batch in cycle {cycle}; try more --people")


def _stuck_with_work(project: Project, goes_on: Callable[[], bool]) -> list[str] | None:
    """A batch that some sync worker has in its hands, and still has a moment later."""
    before: list[list[str]] = []
    while goes_on():
        rows = project.query(_IN_HAND)
        stuck = next((row for row in rows if row in before), None)
        if stuck is not None:
            return stuck
        before = rows
    return None


def look(address: str) -> Any:
    """What an HTTP API answers; None while it does not."""
    try:
        with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310 - an address of the project
            return json.load(answer)
    except (urllib.error.URLError, OSError, json.JSONDecodeError):
        return None


def check_prometheus(project: Project) -> None:
    """Prometheus has figures of every replica of every service."""
    address = project.address("prometheus", 9090)
    replicas = len(project.containers(*FLEET))

    def told(expression: str) -> dict[str, float]:
        answer = look(f"{address}/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
        rows = answer["data"]["result"] if answer else []
        return {row["metric"].get("service", ""): float(row["value"][1]) for row in rows}

    def of_every_service() -> dict[str, float] | None:
        series = told('count by (service) ({__name__=~"anabranch_.+"})')
        return series if series.keys() >= set(FLEET) else None

    until(lambda: sum(told("sum by (service) (up)").values()) == replicas, f"Prometheus reads {replicas} replicas")
    figures = until(of_every_service, "Prometheus has figures of every service")
    committed = sum(told("sum(anabranch_batches_committed_total)").values())
    demand(committed > 0, "no committed batch was counted")
    series = ", ".join(f"{name} {count:.0f}" for name, count in sorted(figures.items()))
    say(f"Prometheus reads {replicas} replicas; series: {series}; batches committed: {committed:.0f}")


def check_jaeger(project: Project) -> None:
    """Jaeger has a whole trace of each cycle, and a link from the batch of the killed worker to its second delivery."""
    command = (sys.executable, "tools/traces_in_jaeger.py", "--query", project.address("jaeger", 16686))

    said = ""

    def whole() -> list[tuple[str, str]] | None:
        nonlocal said
        try:
            said = ask(*command)
        except CheckFailed as fault:  # spans are on their way, or missing
            said = str(fault)
            return None
        found = _WHOLE.findall(said)
        return found if len(found) == _CYCLES and any(again != "0" for _, again in found) else None

    try:
        found = until(whole, f"Jaeger has {_CYCLES} whole traces, and a batch that was delivered again")
    except CheckFailed as fault:
        raise CheckFailed(f"{fault}\n{said}") from None
    for counted, again in found:
        say(f"Jaeger has one whole trace: {counted}; delivered again: {again}")


def undisturbed(project: Project, people: int) -> dict[str, str]:
    """The hashes of the demonstration with one sync worker that nobody disturbs."""
    project.start(sync_workers=1)
    check_confinement(project)
    with project.demonstration(people) as demonstration:
        hashes = demonstration.hashes()
    told = project.console("anabranch", "state", "hash", "-o", "name").strip()
    demand(told == hashes["state hash"], f"the console tells another state: {told}")
    say(f"undisturbed, 1 sync worker: state hash {told}")
    return hashes


def disturbed(project: Project, people: int) -> dict[str, str]:
    """The hashes of the demonstration on a fleet that grows, shrinks and loses a worker meanwhile."""
    project.start(sync_workers=3)
    check_confinement(project)
    with project.demonstration(people) as demonstration:
        for cycle, workers in ((1, 4), (2, 3)):
            demonstration.wait_for_cycle(cycle)
            project.scale(workers)
            demand(demonstration.goes_on, "the demonstration was over before the fleet was scaled; try more --people")
            say(f"{workers} sync workers since cycle {cycle}, while it went on")
        demonstration.wait_for_cycle(3)
        say(kill_in_work(project, demonstration, cycle=3))
        hashes = demonstration.hashes()
    check_prometheus(project)
    check_jaeger(project)
    say(f"disturbed, 3 sync workers:  state hash {hashes['state hash']}")
    return hashes


@contextmanager
def removed_afterwards(project: Project) -> Iterator[Project]:
    """Whatever happens, nothing of the project is left; when it happens well, that is looked up."""
    try:
        yield project
    except BaseException:
        try:
            say(f"the last words of the containers:\n{project.logs()}")
        finally:
            project.remove()
        raise
    project.remove()
    demand(not project.remains(), f"`docker compose down --volumes` left {', '.join(project.remains())}")
    say("`docker compose down --volumes` left nothing")


def check(people: int) -> None:
    name = f"anabranch-check-{os.getpid()}"
    begun = time.monotonic()
    quiet = Project(name)
    quiet.compose("build")
    say(f"the image is built ({time.monotonic() - begun:.0f} s)")
    with removed_afterwards(quiet):
        expected = undisturbed(quiet, people)
    observed = Project(name, "observability")
    with removed_afterwards(observed):
        found = disturbed(observed, people)
    differing = [what for what, digest in expected.items() if found[what] != digest]
    demand(not differing, f"the killed worker made a difference: {', '.join(differing)}")
    say("the killed worker changed nothing: state and target files are equal, hash for hash")


def main() -> int:
    parser = argparse.ArgumentParser(prog="compose-check", description="Starts compose.yaml and checks its promises.")
    parser.add_argument("--people", type=int, default=4000, help="how large the organisation is (default 4000)")
    people = parser.parse_args().people
    if reason := missing_engine():
        say(f"skipped: {reason}")
        return 0
    try:
        check(people)
    except (CheckFailed, subprocess.TimeoutExpired) as fault:
        print(f"compose-check: FAILED: {fault}", file=sys.stderr)
        return 1
    say("all is as promised")
    return 0


if __name__ == "__main__":
    sys.exit(main())
