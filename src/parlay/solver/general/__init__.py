"""The solver of any graph under any number of constraints: branch and bound over boxes of widths.

``general`` brings the problem into integers, ``interior_point`` relaxes it to real widths, ``dual`` and ``eliminate``
bound it. ``climb`` and ``neighbours`` find layouts, ``boxes`` narrows, cuts and lists boxes, ``best_in_box`` lists the
best of one too large for that, ``branch`` keeps the tree, ``solve_general`` the clock and what may be claimed. Terms
that are tables have a branch and bound of their own, ``table_search``, with prices from ``cutting_planes``.
"""
