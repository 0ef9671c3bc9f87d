"""Browser and system by the header User-Agent, in words of this module.

Nothing of the header itself is returned: people paste keys and passwords anywhere.
"""

from __future__ import annotations

# Each with the product names that it sends. The first that is found counts: most browsers send the
# names of others too.
_BROWSERS: dict[str, tuple[str, ...]] = {
    "Edge": ("Edg/", "EdgA/", "EdgiOS/"),
    "Opera": ("OPR/",),
    "Samsung Internet": ("SamsungBrowser/",),
    "Firefox": ("Firefox/", "FxiOS/"),
    "Chrome": ("Chrome/", "CriOS/"),
    "Safari": ("Safari/",),
}
_SYSTEMS: dict[str, tuple[str, ...]] = {
    "iPhone": ("iPhone",),
    "iPad": ("iPad",),
    "Android": ("Android",),
    "Windows": ("Windows",),
    "ChromeOS": ("CrOS",),
    "Mac": ("Macintosh",),
    "Linux": ("Linux",),
}


def recognise(user_agent: str) -> tuple[str, str]:
    """Browser and system; each is empty if it is another."""
    return _first(_BROWSERS, user_agent), _first(_SYSTEMS, user_agent)


def _first(known: dict[str, tuple[str, ...]], user_agent: str) -> str:
    return next(
        (name for name, signs in known.items() if any(sign in user_agent for sign in signs)), ""
    )
