"""The last moments before a server becomes itself: a process that gives up its rights, ties its life to its owner's,
and then turns into PostgreSQL or Redis without a further fork.

The order is the whole point. Linux forgets the parent-death signal whenever a process changes its user, so the user is
changed first and the signal is set after; a parent may die between the fork and that call, so the parent is looked at
once more after it. The signal then survives `exec`, because the servers are no set-user-id programs.

Where the kernel has no such signal (macOS), a grandchild that holds the read end of a pipe stays behind. The owner
holds the only write end: when the owner is gone, however it went, the pipe ends and the watcher ends the server. It is
forked twice so that it is no child of the server, which would otherwise be told of a death it knows nothing about.

Run as a file, with nothing but the standard library and without site-packages: it works before anabranch is installed,
from any import path, and starts in 20 ms.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import select
import signal
import sys
from typing import NoReturn

PR_SET_PDEATHSIG = 1
OWNER_GONE = 3
CANNOT_RUN = 126


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="server_child", description="Become a server that does not outlive its owner."
    )
    parser.add_argument("--uid", type=int, help="give up root and become this user")
    parser.add_argument("--gid", type=int, help="the group that goes with it")
    parser.add_argument("--owner", type=int, default=0, help="process id that must be the parent; 0 for none")
    parser.add_argument("--death-signal", type=int, default=int(signal.SIGKILL), help="what the server gets then")
    parser.add_argument("--watch-fd", type=int, help="read end of a pipe that ends when the owner does")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    return parser.parse_args(argv)


def drop_privileges(uid: int, gid: int) -> None:
    """The process belongs to `uid` and `gid` alone, without supplementary groups, and cannot go back."""
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def die_with_parent(libc: ctypes.CDLL, death_signal: int) -> None:
    """The kernel sends `death_signal` to this process when the thread that started it ends (prctl(2), Linux)."""
    if libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "the parent-death signal cannot be set")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _watch(descriptor: int, server: int, death_signal: int) -> None:
    """Return when the server has ended by itself, or end it when the pipe does; looks once a second."""
    poller = select.poll()
    poller.register(descriptor, select.POLLIN | select.POLLHUP)
    while _is_alive(server):
        if poller.poll(1000):
            if _is_alive(server):
                os.kill(server, death_signal)
            return


def leave_watcher(descriptor: int, death_signal: int) -> None:
    """A process that is nobody's child watches the pipe; the caller goes on and will be the server."""
    server = os.getpid()
    first = os.fork()
    if first:
        os.waitpid(first, 0)
        return
    if os.fork():
        os._exit(0)
    try:
        os.setsid()
        _watch(descriptor, server, death_signal)
    finally:
        os._exit(0)


def main(argv: list[str]) -> NoReturn:
    """Never returns: the process is the server, or it has ended with 3 (owner gone) or 126 (cannot run)."""
    given = _arguments(argv)
    command = given.command[1:] if given.command[:1] == ["--"] else given.command
    # Everything that is read from disk is read now: after the change of user the interpreter may be out of reach.
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
    try:
        if given.uid is not None:
            drop_privileges(given.uid, given.gid if given.gid is not None else given.uid)
        if given.owner and libc is not None:
            die_with_parent(libc, given.death_signal)
        if given.owner and os.getppid() != given.owner:
            sys.exit(OWNER_GONE)
        if given.watch_fd is not None:
            leave_watcher(given.watch_fd, given.death_signal)
            os.close(given.watch_fd)
        for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores these two, and `exec` would pass that on
            signal.signal(ignored, signal.SIG_DFL)
        os.execv(command[0], command)  # noqa: S606 - becoming another program is what this module is for
    except OSError as fault:
        sys.stderr.write(f"{command[0] if command else 'server'}: cannot be run: {fault}\n")
        sys.stderr.flush()
        os._exit(CANNOT_RUN)


if __name__ == "__main__":
    main(sys.argv[1:])
