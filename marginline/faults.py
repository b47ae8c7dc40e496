"""The last line of the command line: whatever a command raises becomes an exit code and one clear line."""

import logging
from collections.abc import Callable

from marginline.exits import Exit
from marginline.output import say, silence_broken_pipe
from providers.errors import AppError, ConfigError, ProviderError, Unauthorised

logger = logging.getLogger("marginline.cli")


def guarded(work: Callable[[], int]) -> int:
    """Return the exit code of `work`; errors that a user can act on are one line, our own faults are shown whole."""
    try:
        return work()
    except SystemExit as exit_:
        return exit_.code if isinstance(exit_.code, int) else Exit.OK
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        silence_broken_pipe()
        return 141
    except AppError as error:
        say(f"marginline: {error}")
        return exit_of(error)
    except Exception as error:  # the last line: an unforeseen fault is shown whole, and as ours
        import traceback

        logger.debug("internal error", exc_info=True)
        say("".join(traceback.format_exception(error)))
        say("marginline: this is a fault of marginline itself; please report the lines above")
        return Exit.INTERNAL


def exit_of(error: AppError) -> Exit:
    """Return the exit code that tells a script what kind of error it was."""
    from desk.actions import JournalError, Refusal

    match error:
        case Refusal() | JournalError():
            return Exit.REFUSED
        case ConfigError():
            return Exit.USAGE
        case Unauthorised():
            return Exit.AUTH
        case ProviderError():
            return Exit.NETWORK
        case _:
            return Exit.INTERNAL
