"""One training run: a recipe, and the loop that follows it. Importing ``parlay.train.loop`` needs torch; recipes do not."""

from parlay.train.recipe import RECIPES, Recipe, get_recipe

__all__ = ["RECIPES", "Recipe", "get_recipe"]
