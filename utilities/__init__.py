"""The command-line tools. Nothing imports this package."""
