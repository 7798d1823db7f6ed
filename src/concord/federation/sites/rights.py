"""Who may ask a site for what: `authorization.json`, and whether one allows more than ours.

Every role has an object: FLARE takes a bare word for leave to do everything, code included.
"""

from __future__ import annotations

from typing import Any

_NEVER = (
    "submit_job",
    "clone_job",
    "manage_job",
    "download_job",
    "operate",
    "shell_commands",
    "byoc",
    "server-predeployed-flwr",
)
_DENY = dict.fromkeys(_NEVER, "none")
DRIVER_ROLE = "lead"
PERMISSIONS: dict[str, dict[str, str]] = {
    "project_admin": {**_DENY, "view": "any"},
    "org_admin": {**_DENY, "view": "any"},
    DRIVER_ROLE: {**_DENY, "submit_job": "any", "manage_job": "n:submitter", "view": "any"},
    "member": {**_DENY, "view": "any"},
}
AUTHORIZATION = {"format_version": "1.0", "permissions": PERMISSIONS}


def wider(found: Any) -> str | None:
    """Why an authorization file allows more than it may; None if it does not.

    A right may be withdrawn (`none`), and the driver's right to submit may be bound to one name
    (`n:<name>`). Every role and every right has to be named, since FLARE decides what is not.
    """
    if not isinstance(found, dict) or set(found) != set(AUTHORIZATION):
        return "is not an authorization file of a known form"
    permissions = found["permissions"]
    if not isinstance(permissions, dict) or set(permissions) != set(PERMISSIONS):
        return f"has to name the roles {', '.join(PERMISSIONS)}, and no others"
    for role, allowed in PERMISSIONS.items():
        rights = permissions[role]
        if not isinstance(rights, dict):
            return f"{role}: a bare word allows everything, code included"
        if set(rights) != set(allowed):
            return f"{role}: has to name every right, and no other"
        for right, most in allowed.items():
            if not _within(rights[right], most):
                return f"{role}: {right} is wider than {most!r}"
    return None


def _within(found: Any, most: str) -> bool:
    if found in (most, "none"):
        return True
    return most == "any" and isinstance(found, str) and found.startswith("n:") and " " not in found
