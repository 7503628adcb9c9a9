"""`python -m seasign`: the command line."""

from seasign.cli import main

main()
