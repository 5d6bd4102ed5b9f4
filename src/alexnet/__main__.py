"""`python -m alexnet` is the command line."""

from alexnet.cli import main

if __name__ == "__main__":  # also imported by processes that are started with the spawn method
    main()
