"""`python -m alexnet` is the command line."""

from alexnet.cli import main

main()
