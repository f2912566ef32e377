"""`python -m restoration`: see `restoration/cli/`."""

from restoration.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
