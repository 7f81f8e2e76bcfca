"""Text from files, made safe for a terminal."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text with escapes in place of terminal codes and other characters that can't be printed, but for newlines."""
    if text.replace("\n", "").isprintable():
        return text
    return "".join(
        character if character.isprintable() or character == "\n" else ascii(character)[1:-1] for character in text
    )
