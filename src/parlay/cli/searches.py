"""``parlay search``: the loop that trains, and the same loop against a published table."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from parlay.cli.inputs import (
    load_data,
    network_for,
    precision_for,
    recipe_for,
    resources_options,
    running_options,
    source_of,
    training_options,
)
from parlay.cli.options import (
    LIMIT_KEYS,
    SIZE_KEYS,
    family_options,
    json_option,
    other_limit_options,
    problem_from,
    problem_options,
)
from parlay.cli.plans import checked_seed
from parlay.cli.progress import ProgressBar
from parlay.cli.reports import INTERRUPTED
from parlay.cli.tables import bin_options, binning_from, other_table_options, populations_from
from parlay.errors import InputError

if TYPE_CHECKING:
    from parlay.data import Dataset
    from parlay.layout import Layout
    from parlay.report.search import Searched, SearchPlan
    from parlay.study import FamilyNetwork

__all__ = ["search"]

EITHER = {"source", "params", "trials", "seed", "prior", "as_json"}
"""Options that both kinds of search have."""

TABLE = {"widths", "layers", "accuracy", "macs", "peak_memory", "bin_width", "min_bin", "repetitions", "methods", "out"}
"""Options of a replay alone; all others are those of a search that trains."""

LEAST_ASIDE, MOST_ASIDE = 1_000, 10_000


@click.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--study", "named", type=click.Path(path_type=Path), help="FOLDER in another place.")
@click.option("--n-trials", "trials", type=int, default=16, show_default=True, help="Layouts that are trained.")
@click.option("--layout", "own", help="Your own layout: a control, and without a size what sets it, in parameters.")
@click.option("--policy", default="thompson", show_default=True, help="How the next is chosen: thompson, ucb, learn.")
@click.option("--batch", type=int, help="Layouts proposed at a time; default: as many as are trained at a time.")
@click.option(
    "--control-seeds",
    type=int,
    default=3,
    show_default=True,
    help="Trainings of each layout of the last comparison, with seeds of their own.",
)
@click.option("--prior", help="--score by another name.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of every choice; controls train with the next.")
@click.option("--params", help="Exactly this many parameters; with --replay the column that has them.")
@training_options(required=False, val="a tenth, 1,000 to 10,000, at most a quarter")
@family_options
@problem_options
@other_limit_options
@running_options
@resources_options
@click.option("--replay", "source", type=click.Path(path_type=Path), help="Table to search instead, .csv[.gz].")
@other_table_options
@bin_options
@click.option("--repetitions", type=int, default=200, show_default=True, help="Of every method in every bin.")
@click.option(
    "--method", "methods", multiple=True, help="thompson, ucb, learn, top, random, evolution, tpe; repeatable."
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for replay.json, replay.png.")
@json_option
@click.pass_context
def search(context: click.Context, source: Path | None, as_json: bool, **options: Any) -> None:
    """Search with trainings: propose layouts, train them, learn the score's weights, solve, propose again.

    FOLDER is that of a study, which keeps every training; the same command goes on where it was stopped. Layouts are
    chosen by validation accuracy; at the end the recommended one and its controls are set side by side on the test
    images, with seeds that chose nothing.

    With --replay a training is a look into a table, whose columns the options from --widths on name; the loop stands
    beside random search, the score's top n, Optuna's TPE and regularised evolution.
    """
    _refuse_others(context, replays=source is not None)
    checked_seed(options["seed"])
    if source is None:
        _train(context, as_json, options)
    else:
        _replay(source, as_json, options)


def _refuse_others(context: click.Context, *, replays: bool) -> None:
    """Refuse options of the other kind of search."""
    for parameter in context.command.params:
        name = parameter.name or ""
        if name in EITHER or context.get_parameter_source(name) is ParameterSource.DEFAULT:
            continue
        if (name in TABLE) is not replays:
            shown = parameter.opts[0] if isinstance(parameter, click.Option) else name.upper()
            given, allowed = ("with --replay", "without it") if replays else ("without --replay", "with it")
            raise InputError(shown, given=given, allowed=allowed, remedy="see 'parlay search --help'")


def _train(context: click.Context, as_json: bool, options: dict[str, Any]) -> None:
    from parlay.report.found import round_line
    from parlay.report.search import conduct_search, read_record
    from parlay.study import DataSource, Settings, make_executor

    folder = _folder(options)
    recorded = read_record(folder)
    question = {} if recorded is None else recorded[0]
    threads, device = options.pop("threads"), options["device"]
    settings = Settings(
        device=device, retries=options.pop("retries"), checkpoint_seconds=options.pop("checkpoint_seconds")
    )
    executor = make_executor(
        **{key: options.pop(key) for key in ("workers", "ray", "ray_cpus", "ray_gpus")}, threads=threads
    )
    try:
        if options["batch"] is None:  # as it was begun: how many workers a call has must not change the question
            options["batch"] = question.get("batch") or min(executor.slots(), options["trials"])
        if options["precision"] == "auto" and "precision" in question:
            options["precision"] = question["precision"]
        plan, data, origin = _plan(options, folder)
        with ProgressBar() as bar:
            try:
                found = conduct_search(
                    folder,
                    plan,
                    data,
                    source=DataSource(name=data.name, spec=origin[0], folder=origin[1]),
                    executor=executor,
                    settings=settings,
                    watcher=bar,
                    told=lambda turn: bar.say(round_line(turn, trials=plan.query.trials)),
                )
            except KeyboardInterrupt:
                bar.say(f"stopped: every trial that ended is kept in {folder}; run the same command again to go on")
                context.exit(INTERRUPTED)
            _show(found, bar.say, as_json)
    finally:
        executor.shutdown(cancel_futures=True)
    context.exit(1 if found.failed else 0)


def _folder(options: dict[str, Any]) -> Path:
    folder, named = options.pop("folder"), options.pop("named")
    if (folder is None) == (named is None):
        raise click.UsageError(
            "Missing argument 'FOLDER', such as runs/search (or --study runs/search, one of the two); --replay TABLE"
            " needs none."
        )
    if not options["data"]:
        raise click.UsageError("Missing option '--data', such as --data cifar10: a search trains.")
    return folder or named


def _plan(options: dict[str, Any], folder: Path) -> tuple[SearchPlan, Dataset, tuple[str, str]]:
    """What the options ask for; they are taken out."""
    from parlay.evidence.scores import RECOMMENDED
    from parlay.evidence.search import Query
    from parlay.layout import parse_layout
    from parlay.report.search import SearchPlan
    from parlay.study import FamilyNetwork

    if options["model"] is not None:
        raise InputError(
            "--model",
            given="with search",
            allowed="a family",
            remedy="train some of its layouts by 'parlay study run --model', then 'parlay calibrate', and give retrofit"
            " --score calibrated:weights.json",
        )
    if options["score"] and options["prior"]:
        raise InputError("--prior", given="with --score", allowed="one of the two")
    options["score"] = options.pop("prior") or options["score"] or RECOMMENDED
    own = None if options["own"] is None else parse_layout(options["own"])
    recipe, precision = recipe_for(options), precision_for(options, folder=folder)
    data = load_data(options)
    origin = source_of(options)
    network = network_for(data, options, groups=None if own is None else len(own))
    assert isinstance(network, FamilyNetwork)
    validation, dtype = options["val"], options["dtype"]
    if validation is None:
        validation = _aside(len(data.train_images))
    data.with_validation(validation)  # refused now rather than in every trial
    _sized(options, network, own)
    query = Query(
        problem=problem_from(network.family, options),
        policy=options["policy"],
        trials=options["trials"],
        batch=options["batch"],
        seed=options["seed"],
        own=own,
    )
    plan = SearchPlan(
        query=query,
        network=network,
        data=data.fingerprint,
        recipe=recipe,
        validation=validation,
        steps=options["steps"],
        precision=precision,
        control_seeds=options["control_seeds"],
        dtype=dtype,
    )
    return plan, data, origin


def _sized(options: dict[str, Any], network: FamilyNetwork, own: Layout | None) -> None:
    """Read the number of parameters; without any limit it is that of the user's layout."""
    if options["params"] is not None:
        text = options["params"].replace("_", "").replace(",", "")
        if not (text.isascii() and text.isdigit()):
            raise InputError("--params", given=repr(options["params"]), allowed="a number of parameters, such as 39334")
        options["params"] = int(text)
    keys = [key for key in (*SIZE_KEYS, *LIMIT_KEYS) if key != "dtype"]
    if own is not None and all(options[key] is None for key in keys):
        options["params"] = network.family.params(network.check(own))


def _aside(images: int) -> int:
    """Training images set aside without a word: a tenth, from 1,000 to 10,000, but never more than a quarter.

    >>> _aside(50_000), _aside(1_437)
    (5000, 359)
    """
    return max(1, min(max(images // 10, LEAST_ASIDE), MOST_ASIDE, images // 4))


def _show(found: Searched, say: Callable[[str], None], as_json: bool) -> None:
    from parlay.evidence.controls import verdict
    from parlay.report.found import controls_table, expected_lines, proposals_table, search_document, search_summary
    from parlay.report.search import FILE, WEIGHTS

    say(search_summary(found))
    if as_json:
        click.echo(search_document(found))
        return
    from rich.console import Console

    console = Console()
    wide = Console(width=max(console.width, 120))
    for table in (proposals_table(found), controls_table(found)):
        wide.print(table)
        wide.print()
    files = [found.folder / FILE, found.folder / "trials.csv"]
    if found.found.calibration is not None:
        files.append(found.folder / WEIGHTS)
    for line in (*expected_lines(found), verdict(found.controls), *map(str, files)):
        console.print(line, highlight=False, soft_wrap=True, markup=False)


def _replay(source: Path, as_json: bool, options: dict[str, Any]) -> None:
    from parlay.evidence.replay import replay
    from parlay.evidence.scores import RECOMMENDED

    folder = options["out"]
    least = options["min_bin"] or 100
    population = populations_from(source, options)[0]
    binning = binning_from(options)
    shown = sys.stderr.isatty() and not as_json

    def watch(done: int, every: int) -> None:
        if shown:
            click.echo(f"\r{done} of {every} bins", err=True, nl=done == every)

    found = replay(
        population,
        bin_width=binning.width,
        least=least,
        trials=options["trials"],
        repetitions=options["repetitions"],
        prior=options["prior"] or RECOMMENDED,
        methods=options["methods"] or None,
        seed=options["seed"],
        progress=watch,
    )
    if folder is not None:
        from parlay.report.replay import save_replay

        save_replay(found, folder)
    if as_json:
        click.echo(found.document())
        return
    from rich.console import Console

    from parlay.report.replay import replay_table

    console = Console()
    Console(width=max(console.width, 110)).print(replay_table(found))
    console.print(found.verdict, highlight=False, markup=False)
    if folder is not None:
        console.print(str(folder / "replay.png"), highlight=False, soft_wrap=True, markup=False)
