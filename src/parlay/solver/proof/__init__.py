"""The certificate: ``certify`` recounts an answer and compares it with ``enumeration`` where the problem is small.

``replay`` follows the steps of a proof on any graph, with ``rows`` for limits and fences and ``lagrangian`` for bounds.
None of them imports a solver, so none can inherit a solver's mistake; import-linter holds that.
"""
