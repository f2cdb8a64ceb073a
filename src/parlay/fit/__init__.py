"""From a device's budget to a verdict: arms, trainings as one study, int8 files, an honest comparison, the winner.

``arms`` chooses layouts, ``scaling`` has those along a ray, ``plan`` writes down what is compared, ``run`` trains it as
a study, ``quantise`` makes ONNX files, ``liveness`` and ``measure`` measure them, ``verdict`` judges, ``result``
gathers, ``artefacts`` and ``card`` write the winner's files, ``devices`` and ``device_exports`` those for engines of
devices.
"""

from parlay.fit.arms import Arm, choose_arms
from parlay.fit.plan import FitPlan
from parlay.fit.result import ArmResult, FitResult
from parlay.fit.run import QUICK_SEEDS, Asked, Told, fit
from parlay.fit.verdict import Standing, Verdict, judge

__all__ = [
    "QUICK_SEEDS",
    "ArmResult",
    "Arm",
    "Asked",
    "FitPlan",
    "FitResult",
    "Standing",
    "Told",
    "Verdict",
    "choose_arms",
    "fit",
    "judge",
]
