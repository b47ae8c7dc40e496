"""Text that came from a venue or a chain, made harmless before anyone stores or shows it."""

import unicodedata

_FORBIDDEN = frozenset({"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"})


def inert(text: str, limit: int) -> str:
    """Return `text` in one line of at most `limit` characters, without anything that acts on a terminal.

    Control characters (so every escape sequence loses its ESC), bidirectional and zero-width marks, surrogates and
    unassigned code points are dropped, runs of white space become one space, piled-up combining marks are cut to one.
    Brackets stay: markup is for whoever prints to leave unparsed. A cut ends with an ellipsis.
    """
    kept: list[str] = []
    for character in text[: 64 * limit + 1024]:
        category = unicodedata.category(character)
        if character.isspace():
            if kept and kept[-1] != " ":
                kept.append(" ")
        elif category in _FORBIDDEN:
            continue
        elif category in ("Mn", "Me"):
            if kept and unicodedata.category(kept[-1]) not in ("Mn", "Me", "Zs"):
                kept.append(character)
        else:
            kept.append(character)
        if len(kept) > limit:
            break
    clean = "".join(kept).strip()
    return clean if len(clean) <= limit else clean[: max(limit - 1, 0)].rstrip() + "…"
