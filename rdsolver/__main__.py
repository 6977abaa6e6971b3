"""The command `rdsolver`, also as python -m rdsolver."""

import sys


def main() -> None:
    try:
        from .cli.main import main as command
    except KeyboardInterrupt:  # while it is imported
        print("Interrupted: nothing was started.", file=sys.stderr)
        sys.exit(130)
    command()


if __name__ == "__main__":
    main()
