"""``parlay paper``: the paper's tables recomputed, its figures from our own trainings, its claims judged."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from parlay.cli.inputs import resources_options
from parlay.cli.options import json_option
from parlay.cli.paperdata import data_files, rows_from, rows_options
from parlay.documents import document

if TYPE_CHECKING:
    from parlay.paper import Report

__all__ = ["paper"]


@click.group()
def paper() -> None:
    """Liao et al. (2017): tables recomputed, figures and claims from our own trainings."""


@paper.command()
@json_option
def check(as_json: bool) -> int:
    """Recompute every number of Tables 1, 2, 4 and 5; exit 0 when all agrees but for the known errata, else 1."""
    from parlay.paper import check as recompute

    report = recompute()
    click.echo(document(_content(report)) if as_json else _text(report))
    return 0 if report.agrees else 1


@paper.command()
@click.option("--panel", "panels", multiple=True, help="3a to 3d, 4a to 4d, 5a, 5b, free3, free4, pairs; repeatable.")
@click.option("--recipe", default="fast", show_default=True, help="fast, paper (the paper's 40,000 or 80,000 steps).")
@click.option("--steps", type=int, help="Batches to train on; default: the recipe's.")
@click.option("--precision", default="fp32", show_default=True, help="fp32 or bf16.")
@click.option("--n-seeds", "--seeds", "seeds", type=int, help="Runs of each layout; default 1, for pairs 3.")
@click.option("--seed", "given", type=int, multiple=True, help="A seed of its own choice; repeatable.")
@click.option("--layouts", type=int, help="Only the panel's first so many; default: all, in Figure 4 14.")
@click.option("--extremes", type=int, help="Only so many at both ends of the energies.")
@click.option("--data", help="cifar10 or cifar100; default: the panel's own, which it must be.")
@click.option("--data-dir", default="data", show_default=True, help="Where downloads are kept.")
@click.option("--data-file", multiple=True, help="A Keras-style .npz instead: PATH, or cifar10=PATH; repeatable.")
@click.option("--study", type=click.Path(path_type=Path), help="Folder of the study; needed.")
@click.option("--results", type=click.Path(path_type=Path), help="Trials as text: read first, added to.")
@click.option("--workers", type=int, help="Trials at a time, each in a process of its own.")
@click.option("--checkpoint-seconds", type=float, default=60, show_default=True, help="Between checkpoints.")
@resources_options
@json_option
def run(
    panels: tuple[str, ...],
    seeds: int | None,
    given: tuple[int, ...],
    data: str | None,
    data_dir: str,
    data_file: tuple[str, ...],
    study: Path | None,
    results: Path | None,
    workers: int | None,
    checkpoint_seconds: float,
    device: str,
    threads: int | None,
    as_json: bool,
    **protocol: Any,
) -> int:
    """Train the networks behind panels of the figures; call it again to go on where it stopped.

    With --results, trials that are there already are not trained again, and every trial is added as it ends.
    """
    from parlay.cli.plans import seeds_from
    from parlay.cli.progress import ProgressBar
    from parlay.paper.runs import Protocol, run_panels
    from parlay.study import Settings, make_executor

    if not panels:
        raise click.UsageError("Missing option '--panel', such as --panel 3a.")
    if study is None:
        raise click.UsageError("Missing option '--study', such as --study runs/paper.")
    numbers = seeds_from(seeds, given) if seeds is not None or given else None
    load, sources = data_files(panels, data, data_dir, data_file)
    executor = make_executor(workers=workers, threads=threads)
    try:
        with ProgressBar() as bar:
            ran = run_panels(
                panels,
                Protocol(seeds=numbers, **protocol),
                study=study,
                results=results,
                load=load,
                sources=sources,
                executor=executor,
                settings=Settings(device=device, checkpoint_seconds=checkpoint_seconds),
                watcher=bar,
            )
    finally:
        executor.shutdown(cancel_futures=True)
    if as_json:
        done = [{"panel": r.panel, **vars(r.outcome), "adopted": r.adopted, "kept": r.kept} for r in ran]
        click.echo(document({"study": str(study), "results": results and str(results), "panels": done}))
    else:
        for one in ran:
            did = one.outcome
            failed = f", {did.failed} failed" if did.failed else ""
            kept = f"; {one.kept} in {results / one.panel}" if results else ""
            click.echo(
                f"{one.panel}: {did.planned} trials: {did.reused} from before, {did.trained} trained now{failed}{kept}"
            )
    return 1 if any(one.outcome.failed for one in ran) else 0


@paper.command()
@rows_options
@click.option("--out", type=click.Path(path_type=Path), default="figures", show_default=True, help="Folder to write.")
@click.option("--format", "kinds", multiple=True, help="pdf, svg or png; repeatable; default: all three.")
@json_option
def figures(
    studies: tuple[Path, ...],
    results: tuple[Path, ...],
    recipe: str | None,
    steps: int | None,
    out: Path,
    kinds: tuple[str, ...],
    as_json: bool,
) -> None:
    """Draw Figures 2 to 5, free order and matched pairs; write Tables 1 to 5 and the claims beside them."""
    from parlay.documents import write_atomically
    from parlay.paper.figures import write_figures
    from parlay.paper.judging import gather, judge_all
    from parlay.paper.listings import claims_markdown, write_listings
    from parlay.report.panels import FORMATS

    rows = rows_from(studies, results)
    panels = gather(rows, recipe=recipe, steps=steps)
    files = write_figures(panels, out, kinds=kinds or FORMATS)
    files += write_listings(panels, out)
    write_atomically(out / "claims.md", claims_markdown(judge_all(panels, rows)))
    files.append(out / "claims.md")
    points = {name: len(found.points) for name, found in panels.items()}
    if as_json:
        click.echo(document({"files": [str(path) for path in files], "layouts": points}))
        return
    drawn = ", ".join(f"{name} {count}" for name, count in points.items() if count) or "none"
    click.echo(f"{len(files)} files in {out}; layouts with runs: {drawn}")


@paper.command()
@rows_options
@json_option
def claims(
    studies: tuple[Path, ...], results: tuple[Path, ...], recipe: str | None, steps: int | None, as_json: bool
) -> None:
    """Each claim of section 4: our estimate, 95 % interval and verdict; and ours on what the paper leaves out."""
    from collections import Counter

    from parlay.paper.judging import gather, judge_all

    rows = rows_from(studies, results)
    panels = gather(rows, recipe=recipe, steps=steps)
    judged = judge_all(panels, rows)
    counts = Counter(str(item.verdict) for item in judged)
    if as_json:
        click.echo(document({"trials": len(rows), "verdicts": dict(counts), "claims": [j.document() for j in judged]}))
        return
    from rich.console import Console

    from parlay.report.claims import claims_table

    Console().print(claims_table([item.document() for item in judged]))
    click.echo(f"\n{', '.join(f'{count} {name}' for name, count in counts.items())}; {len(rows)} trials")
    if rows and not any(panel.points for panel in panels.values()):
        click.echo("none of them is of a panel of the paper; 'parlay paper run' trains those")


def _content(report: Report) -> dict[str, object]:
    return {
        "agrees": report.agrees,
        "runtime": report.runtime,
        "tables": [
            {"where": v.where, "rows": v.rows, "facts": v.facts, "errata": v.errata, "verdict": str(v)}
            for v in report.verdicts
        ],
        "errata": [{**vars(erratum.finding), "note": erratum.note} for erratum in report.errata],
        "facts": [
            {"where": r.fact.where, "statement": r.fact.statement, "expected": r.fact.expected, "recomputed": r.value}
            for r in report.facts
        ],
        "differences": [vars(difference) for difference in report.differences],
    }


def _text(report: Report) -> str:
    lines = ["Liao et al. 2017, every number recomputed", "", f"{'table':24}{'rows':>6}{'facts':>7}  verdict"]
    lines += [f"{v.where:24}{v.rows or '':>6}{v.facts:>7}  {v}" for v in report.verdicts]
    lines += ["", "errata, printed -> recomputed"]
    for (where, recomputed, note), printed in _grouped(report).items():
        lines.append(f"  {where}: {', '.join(printed)} -> {recomputed}; {note}")
    lines += ["", "what comes out besides"]
    lines += [f"  {r.fact.where}: {r.fact.statement}: {r.value}" for r in report.facts]
    if report.differences:
        lines += ["", "what differs from the known facts", *(f"  {difference}" for difference in report.differences)]
    total = f"{len(report.facts)} facts, {len(report.errata)} errata, {report.runtime:.1f} s"
    verdict = "agrees" if report.agrees else f"differs in {len(report.differences)}"
    return "\n".join([*lines, "", f"{verdict}: {total}"])


def _grouped(report: Report) -> dict[tuple[str, str, str], list[str]]:
    """Errata that read the same, together."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for erratum in report.errata:
        key = (erratum.finding.where, erratum.finding.recomputed, erratum.note)
        groups.setdefault(key, []).append(erratum.finding.printed)
    return groups
