"""The `marginline` command. Answers `--version` before anything is imported: scripts ask often."""

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        from marginline import __version__

        sys.stdout.write(f"marginline {__version__}\n")
        return
    from marginline.cli import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
