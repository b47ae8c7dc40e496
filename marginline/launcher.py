#!python
"""The installed `marginline` command: smaller than a generated one, whose import of `re` doubles the cost of `--version`."""

from marginline.__main__ import main

main()
