"""The solver of a chain with one size: bounds over cells of widths, then labels.

``chain`` brings the problem into integers, ``newton`` finds the best real widths, ``start`` says where the search
begins. ``cells`` and ``bounds`` exclude widths, ``labels`` enumerates what is left, ``solve_chain`` repeats both until
the answer is proven; ``nearest`` looks for sizes that have a layout.
"""
