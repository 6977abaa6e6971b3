"""The command `rdsolver`, also as python -m rdsolver."""

import sys


def main() -> None:
    try:
        from .cli import main as command
    except KeyboardInterrupt:  # while it is imported: nothing was begun
        sys.exit(130)
    command()


if __name__ == "__main__":
    main()
