"""The switch between light and dark. Its state is a cookie, because the page has no script."""

from fastcore.xml import FT, Button, Div, Span
from starlette.requests import Request
from starlette.responses import Response

_COOKIE = "ulmfit-theme"
THEMES = {"auto": "Auto", "light": "Light", "dark": "Dark"}  # auto: as the reader's system
_SECONDS = 365 * 24 * 3600


def theme_of(request: Request) -> str:
    """The reader's choice, `auto` without one."""
    given = request.cookies.get(_COOKIE, "auto")
    return given if given in THEMES else "auto"


def is_theme(name: str) -> bool:
    """Whether the switch can send `name`."""
    return name in THEMES


def remember(response: Response, theme: str) -> None:
    """Let the browser keep the choice for a year; the cookie says nothing else of its reader."""
    response.set_cookie(_COOKIE, theme, max_age=_SECONDS, httponly=True, samesite="lax")


def switch(theme: str, form: str, action: str) -> FT:
    """Three buttons, which send the form with the id `form` to `action`.

    The form's text comes back with the page, so that nothing typed is lost.
    """
    buttons = [
        Button(
            shown,
            type="submit",
            name="theme",
            value=name,
            form=form,
            formaction=action,
            formnovalidate=True,
            aria_pressed="true" if name == theme else "false",
        )
        for name, shown in THEMES.items()
    ]
    label = Span("Colours", id="colours")
    return Div(label, *buttons, cls="switch", role="group", aria_labelledby="colours")
