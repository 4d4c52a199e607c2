"""`offsite`: one command, one file per sub-command, imported only when it is called.

Exit codes: 0 ok, 1 the thing asked for did not hold (a failed check), 2 usage, 3 bad input, 4 a part is missing or down.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from typing import TYPE_CHECKING

import typer
from typer.core import TyperGroup

from rules.errors import OffsiteError
from rules.faults import printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from typer._click import HelpFormatter

# name -> (module with `app`, one line of help); kept here so that `offsite --help` imports nothing else.
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("monitor.commands.demo", "Run everything on this machine, with simulated facilities."),
    "run": ("monitor.commands.run", "Run gateway, workers, archiver and desk, and keep them running."),
    "setup": ("monitor.commands.setup", "Fetch Kafka's jars and compile the kernels."),
    "broker": ("monitor.commands.broker", "Run the embedded Kafka on loopback."),
    "topics": ("monitor.commands.topics", "Create, verify and describe the topics."),
    "log": ("monitor.commands.log", "Dump the log as JSON lines, load a dump."),
    "worker": ("monitor.commands.worker", "Fold the log: checks, changes, checkpoints."),
    "quarantine": ("monitor.commands.quarantine", "List and release facilities whose records ended the worker."),
    "state": ("monitor.commands.state", "Check and rebuild what the workers start from."),
    "gateway": ("monitor.commands.gateway", "Run the front door of facilities."),
    "simulate": ("monitor.commands.simulate", "Run simulated facilities against a gateway."),
    "archiver": ("monitor.commands.archiver", "Write the log and the alarms into the archive."),
    "archive": ("monitor.commands.archive", "Check and list the archive."),
    "backup": ("monitor.commands.backup", "Back up store, archive and Kafka's part; verify a backup."),
    "restore": ("monitor.commands.restore", "Put a backup back."),
    "proofs": ("monitor.commands.proofs", "Delete proofs whose time is over."),
    "evaluate": ("monitor.commands.evaluate", "Fold a dumped log through the rules and print the changes."),
    "deadlines": ("monitor.commands.deadlines", "List which reports are due, soon due or late."),
    "figures": (
        "monitor.commands.figures",
        "Add up figures over all facilities.",
    ),
    "rules": ("monitor.commands.rules", "Lint and test rule packs."),
    "packs": ("monitor.commands.packs", "Publish rule packs to the log, show what is in force."),
    "desk": ("monitor.commands.desk", "Run the desk: console, API, notifications, outbox."),
    "users": ("monitor.commands.users", "Add, reset, disable and list the desk's accounts."),
    "register": ("monitor.commands.register", "Import, export and compare the register of facilities."),
    "keys": ("monitor.commands.keys", "Issue, revoke and list feed keys."),
    "outbox": ("monitor.commands.outbox", "Append what was decided to Kafka; the desk does it too."),
    "store": ("monitor.commands.store", "Check and upgrade the SQL store."),
    "schema": ("monitor.commands.schema", "Print the JSON Schema of a public contract."),
}


def _imported(name: str) -> ModuleType:
    """Import a module without looking for garbage meanwhile, or among its parts later: a fifth of the start of a process."""
    if not gc.isenabled():
        return importlib.import_module(name)
    gc.disable()
    try:
        module = importlib.import_module(name)
    finally:
        gc.enable()
    gc.freeze()
    return module


class LazyGroup(TyperGroup):
    """A command group that imports a sub-command's module on first use."""

    def list_commands(self, ctx: object) -> list[str]:  # noqa: ARG002 - the signature is click's
        """Return the names in the table's order."""
        return list(COMMANDS)

    def format_commands(self, ctx: object, formatter: HelpFormatter) -> None:  # noqa: ARG002 - the signature is click's
        """Write the table; click's own way imports every sub-command, which takes five seconds."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def get_command(self, ctx: object, cmd_name: str):  # type: ignore[no-untyped-def]  # noqa: ANN201, ARG002 - click's class is not re-exported
        """Import and return one sub-command, or None for an unknown name."""
        if cmd_name not in COMMANDS:
            return None
        module, summary = COMMANDS[cmd_name]
        command = typer.main.get_command(_imported(module).app)
        command.name = cmd_name
        command.short_help = summary
        return command


app = typer.Typer(
    cls=LazyGroup, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)


@app.callback()
def root() -> None:
    """Off-site inspection monitor: Kafka streams in, alarms with evidence out."""


def for_terminal(text: str) -> str:
    r"""Return text whose lines a terminal shows and does not obey: names in it come from outside.

    >>> for_terminal("register: 1 fault\n  /\x1b[2J: no")
    'register: 1 fault\n  /\\u001b[2J: no'
    """
    return "\n".join(printable(line, len(line)) for line in text.split("\n"))


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line; an OffsiteError becomes one message and its exit code."""
    if any(name.upper().startswith("OFFSITE_") for name in os.environ):
        from monitor.settings import slips  # noqa: PLC0415 - pydantic, which `offsite --help` does not need

        sys.stderr.writelines(f"offsite: {for_terminal(line)}\n" for line in slips(os.environ))
    try:
        app(args=list(argv) if argv is not None else None, prog_name="offsite")
    except OffsiteError as error:
        sys.stderr.write(f"offsite: {for_terminal(error.report())}\n")
        raise SystemExit(error.exit_code) from None
