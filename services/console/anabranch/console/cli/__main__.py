"""`python -m anabranch.console.cli`, the same as the command `anabranch`."""

from anabranch.console.cli import main

main()
