#!python
"""The installed `marginline` command: a generated one would import `re`, at half the cost of `--version`."""

from marginline.__main__ import main

main()
