"""``python -m benchmarks.fits``: the tables of docs/fit.md from the fits under results/fit; trains nothing.

    python -m benchmarks.fits --adopt STUDY --name resnet8 --command "parlay fit ..."

takes a finished fit in: its plan, its result and its trials as text, without weights, paths and the host's name.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from parlay.documents import document, write_atomically
from parlay.errors import InputError, ParlayError
from parlay.report.page.fits import HEADS, arm_cells

FITS = Path(__file__).resolve().parent.parent / "results" / "fit"
RESULT, PLAN, TRIALS, README = "fit-result.json", "fit.json", "trials.csv", "README.md"


@click.command()
@click.option("--adopt", "study", type=click.Path(path_type=Path, exists=True, file_okay=False), help="A fit's folder.")
@click.option("--name", help="Of its folder under results/fit.")
@click.option("--command", help="The command that made it.")
@click.option("--results", type=click.Path(path_type=Path), default=FITS, show_default="results/fit")
def main(study: Path | None, name: str | None, command: str | None, results: Path) -> None:
    """Print the tables, or take a fit in."""
    try:
        if study is not None:
            if not name or not command:
                raise InputError("--adopt", given="alone", allowed="with --name and --command")
            adopt(study, results / name, command)
        for lines in tables(results).values():
            click.echo("\n".join(lines) + "\n")
    except ParlayError as error:
        click.echo(f"fits: {error}", err=True)
        sys.exit(2)


def adopt(study: Path, folder: Path, command: str) -> None:
    """Copy what is text and small.

    Raises:
        InputError: for a folder without a finished fit.
    """
    try:
        result = json.loads((study / RESULT).read_text(encoding="utf-8"))
        plan = (study / PLAN).read_text(encoding="utf-8")
        rows = list(csv.DictReader(io.StringIO((study / TRIALS).read_text(encoding="utf-8"))))
        if not rows:
            raise ValueError(f"no trial in {TRIALS}")
    except (OSError, ValueError) as error:
        raise InputError("fit", given=f"{study.name}: {error}", allowed="the folder of a finished fit") from None
    result["files"] = [f"winner/{Path(file).name}" for file in result["files"]]
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / RESULT, document(result))
    write_atomically(folder / PLAN, plan)
    write_atomically(folder / TRIALS, _without_hosts(rows))
    made = sorted({f"{row['device']}, {row['threads']} thread a training, {row['versions']}" for row in rows})
    heading = f"# {result['spec'].rpartition(':')[2]} on {result['data']}: {result['verdict']}"
    text = [heading, "", "```sh", command, "```", "", *_table(result), "", f"Trained on: {'; '.join(made)}."]
    write_atomically(folder / README, "\n".join(text) + "\n")


def _without_hosts(rows: list[dict[str, str]]) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({**row, "host": ""} for row in rows)
    return stream.getvalue()


def tables(results: Path = FITS) -> dict[str, list[str]]:
    """Name of a fit -> its table and verdict as lines of Markdown."""
    return {
        path.parent.name: _table(json.loads(path.read_text(encoding="utf-8")))
        for path in sorted(results.glob(f"*/{RESULT}"))
    }


def _table(result: Mapping[str, Any]) -> list[str]:
    def lines() -> Iterator[str]:
        yield f"| {' | '.join(('Layout', *HEADS))} |"
        yield "|---" * (len(HEADS) + 1) + "|"
        for arm in result["arms"]:
            cells = ("-".join(map(str, arm["layout"])), *arm_cells(arm))
            yield f"| {' | '.join(cells)} |"
        yield ""
        yield f"Verdict: {result['verdict']}."

    return list(lines())


if __name__ == "__main__":
    main()
