"""Memory over time as a few lines of text."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["picture"]

EIGHTHS = " ▁▂▃▄▅▆▇█"
ROWS = 6
COLUMNS = 64


def picture(amounts: Sequence[int], *, rows: int = ROWS, columns: int = COLUMNS) -> list[str]:
    """Bars of what lives at each step, the largest full height; steps share a column where there are too many.

    >>> for line in picture([16, 32, 8], rows=2): print(line)
           32 ┤  ██
              │████▄▄
            0 ┴──────
    """
    steps = max(1, -(-len(amounts) // columns))
    heights = [max(amounts[start : start + steps]) for start in range(0, len(amounts), steps)]
    wide = max(1, min(2, columns // len(heights)))
    top = max(max(heights), 1)
    lines: list[str] = []
    for row in reversed(range(rows)):
        cells = (EIGHTHS[max(0, min(8, round(8 * (height * rows / top - row))))] * wide for height in heights)
        label = f"{top:>9,} ┤" if row == rows - 1 else f"{'':>9} │"
        lines.append((label + "".join(cells)).rstrip())
    return [*lines, f"{0:>9} ┴{'─' * (wide * len(heights))}"]
