"""Development secrets, generated once and kept out of the repository.

With them `make run` needs no configuration, and no secret is a constant in source code. The
settings read them only while DEBUG is on.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

FILE_NAME = "dev-secrets.env"


def secrets_for(directory: Path) -> dict[str, str]:
    """Return the development secrets in `directory`, creating them (mode 0600) on first use."""
    path = directory / FILE_NAME
    if not path.exists():
        _create(path)
    lines = path.read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _create(path: Path) -> None:
    """Write a new file. If two processes start at once, both use the file of one."""
    values = {
        "SECRET_KEY": secrets.token_urlsafe(48),
        "JWT_SECRET": secrets.token_urlsafe(48),
        "STRIPE_SECRET_KEY": f"sk_test_{secrets.token_hex(24)}",
        "STRIPE_WEBHOOK_SECRET": f"whsec_{secrets.token_hex(24)}",
        "STRIPE_PRODUCT_PRICE_ID": "price_sandbox_premium",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
        file.writelines(f"{name}={value}\n" for name, value in values.items())
    try:
        os.link(draft, path)  # fails if another process has made the file
    except FileExistsError:
        pass
    finally:
        draft.unlink()
