"""HTML from values: whatever is not marked as HTML is escaped."""

from __future__ import annotations

import html
import json
import re
from typing import Any

__all__ = ["Html", "element", "embedded_json", "joined"]

VOID = {"br", "col", "meta"}


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def element(name: str, *children: str, **attributes: str | None) -> Html:
    """An element; attributes of None are left out, ``class_`` is ``class`` and ``aria_label`` ``aria-label``.

    >>> element("p", "a < b ", element("b", "c"), class_="note")
    '<p class="note">a &lt; b <b>c</b></p>'
    """
    inside = joined(*children)
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{written}>" if name in VOID else f"<{name}{written}>{inside}</{name}>")


def joined(*children: str) -> Html:
    """Children one after the other, plain text escaped.

    >>> joined(Html("<br>"), "<br>")
    '<br>&lt;br&gt;'
    """
    return Html("".join(child if isinstance(child, Html) else html.escape(child, quote=False) for child in children))


def embedded_json(value: Any) -> Html:
    r"""JSON that may stand inside a script element: nothing in it can end the element or begin a comment.

    >>> print(embedded_json(["</script>", 1]))
    ["\u003c/script\u003e",1]
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return Html(re.sub("[<>&]", lambda found: f"\\u{ord(found[0]):04x}", text))
