"""Options of the commands that read trained networks: a table with its columns named, or a study's folder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from parlay.cli.options import given, option
from parlay.cli.options.kinds import Names
from parlay.cli.options.model import factory_option, traced
from parlay.errors import InputError

if TYPE_CHECKING:
    from parlay.evidence.judged import Binning
    from parlay.evidence.population import Population

__all__ = ["BinOptions", "TableOptions"]


@dataclass(frozen=True, kw_only=True)
class TableOptions:
    """Columns of a table of trained networks; a study names its own."""

    heading: ClassVar[str] = "Columns of a table"
    widths: tuple[str, ...] | None = option("--widths", type=Names(), help="Columns with the widths, such as c0,c1,c2.")
    model: str | None = option(
        "--model",
        metavar="SPEC",
        help="The model that they are layouts of; a table needs --input.",
    )
    inputs: tuple[str, ...] = option(
        "--input", metavar="SHAPE", multiple=True, help="Shape of one image of the model, such as 3x32x32."
    )
    model_arg: tuple[str, ...] = factory_option()
    accuracy: tuple[str, ...] | None = option(
        "--accuracy", type=Names(), help="Columns with the accuracies, one a run; an empty cell is no run."
    )
    params: str | None = option("--params", metavar="NAME", help="Column with the parameters.")
    macs: str | None = option("--macs", metavar="NAME", help="Column with the multiply-adds.")
    peak_memory: str | None = option(
        "--peak-memory", metavar="NAME", help="Column with the most activation memory; optional."
    )

    def read(self, source: Path, *, judging: bool = True) -> list[Population]:
        """The networks of a table, or of a study's folder, largest group first.

        Args:
            source: file or folder.
            judging: of a study only the layouts that may judge a score, or all.

        Raises:
            InputError: when columns of a table are not named, or those of a study are.
        """
        if source.is_dir():
            return self._study(source, judging=judging)
        if not source.exists():
            allowed = "a study's folder, or a .csv or .csv.gz file, that exists"
            raise InputError("STUDY|TABLE", given=str(source), allowed=allowed)
        from parlay.evidence.population import read_table

        needed = ("widths", "accuracy") if self.model else ("widths", "accuracy", "params", "macs")
        names = ", ".join(f"--{name}" for name in needed if getattr(self, name) is None)
        if names:
            remedy = "" if self.model else "--model SPEC --input 3x32x32 counts params and macs where they have none"
            raise InputError("table", given=f"{source} without {names}", allowed="these columns named", remedy=remedy)
        assert self.widths is not None and self.accuracy is not None
        network = None
        if self.model is not None:
            if not self.inputs:
                raise InputError("--model", given="without --input", allowed="the shape of an image, --input 3x32x32")
            network = traced(self.model, self.inputs, self.model_arg, (), quiet=True)
        elif self.inputs or self.model_arg:
            raise InputError("--input and --model-arg", given="without --model", allowed="together with it")
        return [
            read_table(
                source,
                widths=self.widths,
                accuracy=self.accuracy,
                params=self.params,
                macs=self.macs,
                peak_memory=self.peak_memory,
                network=network,
            )
        ]

    def _study(self, folder: Path, *, judging: bool) -> list[Population]:
        """The networks of a study's folder; those of a model's trials.csv with the model that is named."""
        from parlay.evidence.measured import read_study
        from parlay.study.schema import has_study

        may = () if has_study(folder) else ("--model", "--model-arg")
        if named := [name for name in given(TableOptions) if name not in may]:
            raise InputError(named[0], given="a study", allowed="tables only", remedy="a study names its own columns")
        model = None
        if self.model is not None:
            from parlay.graph.specs import parse_kwargs, placed
            from parlay.study import ModelNetwork

            model = partial(ModelNetwork.traced, placed(self.model), kwargs=parse_kwargs(self.model_arg))
        return read_study(folder, judging=judging, model=model)


@dataclass(frozen=True, kw_only=True)
class BinOptions:
    """Which networks are of one size."""

    heading: ClassVar[str] = "What is of one size"
    bin_width: float | None = option(
        "--bin", type=float, help="Width in ln size, 0: equal sizes only; default 0.01, of a study all."
    )
    min_bin: int | None = option(
        "--min-bin", type=int, help="Networks a bin needs; default 30, or 5 where no bin has 30; of a study 3."
    )

    def make(self) -> Binning:
        """The bins."""
        from parlay.evidence.judged import Binning

        return Binning(width=self.bin_width, least=self.min_bin)
