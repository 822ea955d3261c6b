"""The ``wavepipe`` command: finds the subcommand, and turns errors into messages and exit codes.

Subcommands are imported when they are called, so that help and refusals come at once.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import tempfile
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from wavepipe.cli import exit_codes
from wavepipe.propagators.errors import WavepipeError, is_full

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "model": ("wavepipe.cli.model", "model", "Model the gathers of a survey."),
    "rtm": ("wavepipe.cli.rtm", "rtm", "Image a survey by reverse-time migration."),
    "fwi": ("wavepipe.cli.fwi", "fwi", "Invert a survey for the earth model."),
    "submit": ("wavepipe.cli.submit", "submit", "Submit a run to a batch system."),
    "init": ("wavepipe.cli.init", "init", "Write a commented job file to start from."),
    "inspect": ("wavepipe.cli.inspect", "inspect", "Describe a SEG-Y file, model or result."),
    "status": ("wavepipe.cli.status", "status", "Say how a run is doing."),
    "cancel": ("wavepipe.cli.status", "cancel", "Stop a run, which can go on later."),
    "report": ("wavepipe.cli.report", "report", "Write all about a run into one HTML file."),
    "doctor": ("wavepipe.cli.doctor", "doctor", "Look at this machine, and at the workers."),
}
"""Module, attribute and one line of help by subcommand."""


@dataclass
class Progress:
    """How far a command has come, for the exit code of an interruption."""

    run_folder: Path | None = None
    """Set when work has begun there."""


class LazyGroup(click.Group):
    """A group whose subcommands are imported when called, with the house's exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of `COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one subcommand."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command = getattr(importlib.import_module(module), attribute)
        if not isinstance(command, click.Command):
            msg = f"{module}.{attribute} is not a click command"
            raise TypeError(msg)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the subcommands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """Run, and leave with an exit code: 0, 1, 2, 3 or 75."""
        progress = Progress()
        try:
            result = super().main(
                args, prog_name, complete_var, standalone_mode=False, obj=progress, **extra
            )
            code = result if isinstance(result, int) else exit_codes.DONE
        except click.ClickException as error:
            error.show()
            code = error.exit_code
        except WavepipeError as error:
            click.echo(f"Error: {error}", err=True)
            # Once the work has begun, a lost scheduler or a full disk stops it from outside.
            stopped = progress.run_folder is not None and isinstance(error, RuntimeError)
            code = exit_codes.STOPPED if stopped else exit_codes.REFUSED
        except (click.Abort, KeyboardInterrupt):
            code = _interrupted(progress)
        except BrokenPipeError:
            # The reader of our output, such as `head`, has gone; there is no one to tell.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = exit_codes.DONE if progress.run_folder is None else exit_codes.STOPPED
        except Exception as error:
            if isinstance(error, OSError) and is_full(error) and progress.run_folder is not None:
                click.echo(f"Error: {error}. Make room, and go on with --resume.", err=True)
                code = exit_codes.STOPPED
            else:
                code = _unexpected(error, progress)
        sys.exit(code)


def _interrupted(progress: Progress) -> int:
    """Say what an interruption left behind; its exit code."""
    if progress.run_folder is None:
        click.echo("Stopped before any work.", err=True)
        return 130
    click.echo(
        f"Stopped. What was finished is in {progress.run_folder}; go on with --resume.", err=True
    )
    return exit_codes.STOPPED


def _unexpected(error: Exception, progress: Progress) -> int:
    """Write the traceback to a file and name it."""
    text = "".join(traceback.format_exception(error))
    log = (progress.run_folder or Path(tempfile.gettempdir())) / "error.log"
    try:
        if progress.run_folder is None:
            with tempfile.NamedTemporaryFile(
                "w", prefix="wavepipe-", suffix=".log", delete=False
            ) as file:
                file.write(text)
                log = Path(file.name)
        else:
            log.write_text(text)
        where = f"The traceback is in {log}."
    except OSError:
        where = text
    click.echo(
        f"Unexpected error, a bug of wavepipe: {type(error).__name__}: {error}\n{where}", err=True
    )
    return exit_codes.UNEXPECTED


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="wavepipe", prog_name="wavepipe")
def cli() -> None:
    """Seismic modelling, reverse-time migration and full-waveform inversion.

    Start with 'wavepipe init model', which writes a job file that runs.
    """


def main() -> NoReturn:
    """Entry point of the ``wavepipe`` script."""
    warnings.showwarning = _show_warning
    signal.signal(signal.SIGTERM, _stop)
    cli.main(prog_name="wavepipe")


def _stop(number: int, _: object) -> NoReturn:
    """End as Ctrl-C does, so that a batch system's request to stop closes the workers too."""
    signal.signal(number, signal.SIG_IGN)  # a second one must not interrupt the closing
    raise KeyboardInterrupt


def _show_warning(
    message: Warning | str, category: type[Warning], *_: object, **__: object
) -> None:
    """A warning as one line, without the place in the code."""
    click.echo(f"Warning: {message}", err=True)
