"""``python -m parlay``."""

from parlay.cli.main import main

if __name__ == "__main__":
    main()
