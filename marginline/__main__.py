"""The `marginline` command. Answers `--version` before anything is imported: scripts ask often."""

import sys


def main() -> None:
    """Run the command line and exit with its code."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        from marginline import __version__

        sys.stdout.write(f"marginline {__version__}\n")
        return
    sys.exit(_run(sys.argv[1:]))


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("demo", "dashboard"):
        import os

        from marginline.fast import opener

        if open_plainly := opener(arguments, list(os.environ)):
            from marginline.faults import guarded

            return guarded(open_plainly)
    from marginline.cli import run

    return run(arguments)


if __name__ == "__main__":
    main()
