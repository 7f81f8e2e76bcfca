"""What the user reads about a failure that is not a mistake in what they asked for."""

from __future__ import annotations

import pathlib
import sysconfig
import traceback

from tfperf import disk

_GENERATED = "__autograph_generated_file"  # TensorFlow's, of any function
_PACKAGE = pathlib.Path(__file__).parent.parent
_LIBRARIES = tuple(pathlib.Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib"))


def report(error: Exception, *, verb: str) -> str:
    """The failure in the words that fit its cause: the disk, a file, the user's own code, or tfperf itself."""
    if isinstance(error, OSError) and disk.refuses_writes(error):
        return f"tfperf {verb}: {error}. Free some space or choose another --output_dir."
    shown = "".join(traceback.format_exception(error)).rstrip()
    place = _place_in_users_code(error)
    if place:
        return f"{shown}\ntfperf {verb}: {type(error).__name__} in code that is not part of tfperf: {place}."
    if _is_about_a_path(error):
        return f"tfperf {verb}: {error}. Check the path and its permissions."
    return (
        f"{shown}\ntfperf {verb}: this is a fault of tfperf and not yours. Please report it to the maintainers of "
        "tfperf, with the lines above, the command and what `tfperf --version` prints."
    )


def exit_code(error: Exception) -> int:
    """2 for a path that can't be used, else 1."""
    return 2 if _is_about_a_path(error) and _place_in_users_code(error) is None else 1


def _is_about_a_path(error: Exception) -> bool:
    return isinstance(error, OSError) and error.filename is not None and not disk.refuses_writes(error)


def _place_in_users_code(error: Exception) -> str | None:
    places = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError):
        places.append((error.filename or "", error.lineno))
    users = [place for place in places if _is_the_users(place[0])]
    return f"{users[-1][0]}, line {users[-1][1]}" if users else None


def _is_the_users(filename: str) -> bool:
    path = pathlib.Path(filename)
    if not path.is_absolute() or not path.exists() or path.name.startswith(_GENERATED):
        return False
    return not any(folder in path.parents for folder in (_PACKAGE, *_LIBRARIES))
