"""The command line: nouns, then verbs; data on stdout, everything else on stderr.

May live here: what a command asks for, whom it calls, how the answer is shown, and which exit code it ends with. May
not live here: the work itself. Heavy imports (database, Redis, rich) happen inside the commands.
"""

from __future__ import annotations

import os
import sys
from typing import Final

import click

from anabranch.console.cli.exit_codes import MEANINGS, CommandFault, ExitCode
from anabranch.console.cli.lazy import LazyGroup
from anabranch.model.errors import AnabranchError, BadInput

_ROOM: Final = "anabranch.console.cli"
_COMMANDS: Final = {
    "up": (f"{_ROOM}.local:up", "Start PostgreSQL, Redis and a fleet on this machine."),
    "down": (f"{_ROOM}.local:down", "Stop what `up` started."),
    "demo": (f"{_ROOM}.demo:demo", "Run a whole organisation through a real fleet."),
    "doctor": (f"{_ROOM}.doctor:doctor", "Check everything a fleet needs, and say how to repair it."),
    "config": (f"{_ROOM}.configuration:config", "Validate, plan and apply the declared configuration."),
    "run": (f"{_ROOM}.runs:run", "Start, watch and decide runs."),
    "object": (f"{_ROOM}.objects:object_group", "Look at single objects."),
    "queue": (f"{_ROOM}.queues:queue", "See what waits."),
    "worker": (f"{_ROOM}.queues:worker", "See who works."),
    "state": (f"{_ROOM}.state:state", "Compare whole states."),
    "db": (f"{_ROOM}.database:db", "Prepare and check the database."),
}
_CODES: Final = "\n".join(f"  {code.value:>3}  {meaning}" for code, meaning in MEANINGS.items())


@click.group(
    cls=LazyGroup,
    lazy=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=f"\b\nExit codes:\n{_CODES}",
)
@click.version_option(package_name="anabranch", message="%(prog)s %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """Keep identities in step across an organisation's systems, with a fleet of workers.

    \b
    To see it work:        anabranch demo
    To use it by hand:     anabranch up
                           anabranch config apply DIRECTORY
                           anabranch run start NAME --follow
    """
    if os.environ.get("NO_COLOR"):
        context.color = False


def main(arguments: list[str] | None = None) -> None:
    """The command has run; never returns."""
    sys.exit(run_command(arguments))


def run_command(arguments: list[str] | None = None) -> int:
    """The exit code of one command; expected faults are one sentence on stderr, without a traceback."""
    try:
        answer = cli.main(args=arguments, prog_name="anabranch", standalone_mode=False)
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as fault:
        fault.show()
        return ExitCode.USAGE if isinstance(fault, click.UsageError) else ExitCode.FAILED
    except (click.Abort, KeyboardInterrupt):
        return _told("interrupted", ExitCode.INTERRUPTED)
    except CommandFault as fault:
        return _told(str(fault), fault.code)
    except BadInput as fault:
        faults = len(fault.faults)
        return _told(f"{fault}\n{faults} fault{'s' * (faults > 1)}; nothing was changed", ExitCode.FAILED)
    except AnabranchError as fault:
        return _told(str(fault), ExitCode.FAILED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the reader of our output has gone; that is its right
        return ExitCode.OK
    return int(answer) if isinstance(answer, int) else ExitCode.OK


def _told(message: str, code: ExitCode) -> int:
    from anabranch.config.masking import mask_urls

    click.echo(f"anabranch: {mask_urls(message)}", err=True)
    return code
