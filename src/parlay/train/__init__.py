"""One training run: a recipe, and the loop that follows it.

Recipes load no torch; ``parlay.train.loop``, imported where a network is trained, does.
"""

from parlay.train.recipe import RECIPES, Recipe, get_recipe

__all__ = ["RECIPES", "Recipe", "get_recipe"]
