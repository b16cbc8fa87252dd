"""`python -m anabranch.console`, the same as the command `anabranch`."""

from anabranch.console.cli import main

main()
