"""python -m rdsolver: the command `rdsolver`."""

from .cli import main

if __name__ == "__main__":
    main()
