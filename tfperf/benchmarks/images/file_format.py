"""The format of an image file by its first bytes, whatever its name says."""

from __future__ import annotations

HEAD_BYTES = 16

_BY_HEAD = (
    (b"\xff\xd8", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
)


def of(head: bytes) -> str | None:
    """The format of a file that begins with `head`; None if it is unknown."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[4:8] == b"ftyp":
        return "AVIF" if head[8:12] == b"avif" else "HEIC"
    return next((name for magic, name in _BY_HEAD if head.startswith(magic)), None)


def why_not_jpeg(head: bytes) -> str | None:
    """What a file that begins with `head` is instead of a JPEG; None for a JPEG."""
    found = of(head)
    if found == "JPEG":
        return None
    if not head:
        return "the file is empty"
    return f"not a JPEG, begins with {head[:8]!r}" if found is None else f"is a {found}, not a JPEG"
