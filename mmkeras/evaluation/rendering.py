"""The Jinja environment of the rooms' templates, and how numbers and settings are printed in them."""

import numbers
from collections.abc import Mapping
from typing import Any

import jinja2
from markupsafe import Markup


def render(package: str, template: str, **context: Any) -> str:
    """Render a template of a package.

    Args:
        package: name of the package in whose folder `templates` the template lies; what it includes may lie in that
            folder beside this file too, as the style sheet of all pages does.
        template: file name; `*.html.j2` is escaped automatically, Markdown by its own filters.
        **context: what the template names; a name that is missing is an error.

    Returns:
        string.
    """
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.PackageLoader(package), jinja2.PackageLoader("mmkeras.evaluation")]),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"percent": percent, "number": number, "cell": cell, "code": code, "svg": Markup}
    return environment.get_template(template).render(**context)


def percent(share: float) -> str:
    """Print a share in [0, 1]: `48.2%`."""
    return f"{100 * share:.1f}%"


def number(value: Any) -> str:
    """Print a number with as many digits as are read: `1,000`, `7.5`, `0.0123`; anything else as it is."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return str(value)
    if isinstance(value, numbers.Integral) or (float(value).is_integer() and abs(value) < 1e15):
        return f"{int(value):,}"  # type: ignore[call-overload]
    if abs(value) >= 100:
        return f"{value:,.1f}"
    return f"{value:.4g}"


def cell(value: Any) -> str:
    """A value inside of a Markdown table or line: one line, no markup of its own."""
    text = " ".join(number(value).split())
    for sign in "\\`*_[]<>|":
        text = text.replace(sign, "\\" + sign)
    return text


def code(value: Any) -> str:
    """A value as Markdown code, whatever it holds; `|` as tables want it."""
    text = " ".join(str(value).split()).replace("|", "\\|")
    fence = "`"
    while fence in text:
        fence += "`"
    return f"{fence} {text} {fence}" if "`" in text else f"`{text}`"


def flattened(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten nested dicts: `{"data": {"name": "glyphs"}}` is `{"data.name": "glyphs"}`.

    Args:
        settings: dict; other values than dicts are kept as they are.
        prefix: put before each key.

    Returns:
        flat dict.
    """
    flat = {}
    for key, value in settings.items():
        if isinstance(value, dict) and value:
            flat |= flattened(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
