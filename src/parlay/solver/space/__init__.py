"""The whole space: how many layouts there are, all of them in order, some drawn at random."""
