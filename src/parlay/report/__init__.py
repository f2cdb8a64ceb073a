"""What people look at: tables and figures. Data is gathered apart from drawing; only drawing loads matplotlib."""

from parlay.report.scatter import ScatterData, ScatterPoint, draw_scatter, plot_scatter, save_scatter, scatter_data
from parlay.report.tables import relation_table, trials_table

__all__ = [
    "ScatterPoint",
    "ScatterData",
    "draw_scatter",
    "plot_scatter",
    "relation_table",
    "save_scatter",
    "scatter_data",
    "trials_table",
]
