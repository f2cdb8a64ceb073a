"""From a device's budget to a verdict: arms, trainings as one study, int8 files, an honest comparison, the winner.

``arms`` chooses layouts, ``fit_plan`` writes down what is compared, ``run_fit`` trains it as a study, ``quantise``
makes ONNX files, ``order`` arranges their operators, ``liveness`` and ``measure_trials`` measure them,
``fit_verdict`` judges, ``result`` gathers, ``artefacts`` and ``card`` write the winner's files, ``devices`` and
``device_exports`` those for engines of devices.
"""

from parlay.fit.arms import Arm, choose_arms
from parlay.fit.fit_plan import FitPlan
from parlay.fit.fit_verdict import FitVerdict, Standing, judge
from parlay.fit.result import ArmResult, FitResult
from parlay.fit.run_fit import QUICK_SEEDS, FitQuestion, Told, fit

__all__ = [
    "QUICK_SEEDS",
    "ArmResult",
    "Arm",
    "FitQuestion",
    "FitPlan",
    "FitResult",
    "Standing",
    "Told",
    "FitVerdict",
    "choose_arms",
    "fit",
    "judge",
]
