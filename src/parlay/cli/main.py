"""The ``parlay`` command: finds the commands, runs one, and turns every error into one line."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

import click

from parlay.cli.group import CommandTable
from parlay.errors import ParlayError

__all__ = ["COMMANDS", "cli", "main"]

OUT_OF_MEMORY = "out of memory; ask for fewer layouts, a smaller network or size, or narrower bounds"

COMMANDS = {
    "Layouts of one size": {
        "solve": "parlay.cli.solve:solve",
        "pareto": "parlay.cli.pareto:pareto",
        "list": "parlay.cli.list:list_command",
        "count": "parlay.cli.count:count",
        "sample": "parlay.cli.sample:sample",
        "describe": "parlay.cli.describe:describe",
    },
    "Any PyTorch model": {
        "trace": "parlay.cli.trace:trace",
        "retrofit": "parlay.cli.retrofit:retrofit",
        "prune": "parlay.cli.prune:prune",
        "fit": "parlay.cli.fit:fit",
    },
    "Devices": {
        "check": "parlay.cli.check:check",
        "devices": "parlay.cli.devices:devices",
    },
    "Training": {
        "train": "parlay.cli.train:train",
        "study": "parlay.cli.study:study",
        "report": "parlay.cli.report:report",
    },
    "Scores": {
        "scores": "parlay.cli.scores:scores",
        "score": "parlay.cli.score:score",
        "evaluate": "parlay.cli.evaluate:evaluate",
        "calibrate": "parlay.cli.calibrate:calibrate",
    },
    "Examples": {
        "demo": "parlay.cli.demo:demo",
        "paper": "parlay.cli.paper:paper",
    },
}
"""Heading -> command -> where it is defined, in the order of ``parlay --help``."""


cli = click.version_option(package_name="parlay")(
    CommandTable(
        COMMANDS,
        name="parlay",
        help="Find the widths that use a convolutional network's size budget best, prove it, and test it by training.",
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    )
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exit 0 on success, 1 when there is no answer, 2 on bad input, 3 on a bug, 4 unknown, 130.

    Every error is one line on stderr.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names of files need not be what a terminal can show
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    try:
        code = cli.main(args=None if arguments is None else list(arguments), prog_name="parlay", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 2
    except click.ClickException as error:
        where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "parlay"
        message = " ".join(error.format_message().split())
        return _complain(f"{message} (see '{where} --help')")
    except ParlayError as error:
        return _complain(str(error))
    except (click.Abort, KeyboardInterrupt):
        _complain("stopped; nothing that was finished is lost")
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    except MemoryError:
        return _complain(OUT_OF_MEMORY)
    except OSError as error:
        return _complain(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")
    except Exception as error:
        if os.environ.get("PARLAY_TRACEBACK"):
            raise
        if "allocate memory" in str(error) or "out of memory" in str(error):  # torch's own kinds of MemoryError
            return _complain(OUT_OF_MEMORY)
        text = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        _complain(f"unexpected {text}; please report it; PARLAY_TRACEBACK=1 shows where")
        return 3


def _complain(message: str) -> int:
    click.echo(f"parlay: {message}", err=True)
    return 2
