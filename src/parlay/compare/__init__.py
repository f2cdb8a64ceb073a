"""What ``fit`` and ``prune`` share: arms written down, trained as one study, int8 files, an honest verdict, the winner.

``arm`` and ``arm_plan`` say what is compared, ``run_comparison`` trains it as a study, ``quantise`` makes ONNX files,
``order`` arranges their operators, ``liveness`` and ``measure_trials`` measure them, ``arm_verdict`` judges, ``result``
gathers, ``artefacts`` and ``card`` write the winner's files, ``devices`` and ``device_exports`` those for engines of
devices.
"""

from parlay.compare.arm import Arm
from parlay.compare.arm_plan import ArmPlan
from parlay.compare.arm_verdict import ArmVerdict, Standing, judge
from parlay.compare.result import ArmResult, CompareResult
from parlay.compare.run_comparison import Told, carry_out

__all__ = ["Arm", "ArmPlan", "ArmResult", "ArmVerdict", "CompareResult", "Standing", "Told", "carry_out", "judge"]
