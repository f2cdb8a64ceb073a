"""The certificate: ``certify`` recounts an answer, ``replay`` goes through the steps of a proof on any graph.

Neither imports a solver, so neither can inherit a solver's mistake; import-linter holds that.
"""
