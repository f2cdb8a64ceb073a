"""From a device's budget to a verdict: which layouts are compared, and how long they are trained.

``arms`` chooses layouts, ``run_fit`` plans; ``parlay.compare`` trains, measures and judges them.
"""

from parlay.fit.arms import choose_arms
from parlay.fit.run_fit import QUICK_SEEDS, FitQuestion, fit

__all__ = ["QUICK_SEEDS", "FitQuestion", "choose_arms", "fit"]
