"""What mkdocs calls while it builds the pages."""

import re
from typing import Any

_ROLE = re.compile(r":(?:class|func|meth|mod|attr|data|exc):<code>~?(?:[\w.]+\.)?(\w+)</code>")


def on_page_content(html: str, **_: Any) -> str:
    """Sphinx's roles, as docstrings have them, become the last part of the name."""
    return _ROLE.sub(r"<code>\1</code>", html)
