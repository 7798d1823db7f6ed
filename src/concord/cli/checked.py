"""The model that a user names, after its release was checked, if it is of one."""

from __future__ import annotations

from pathlib import Path

import typer

from concord.base.errors import DocumentError, VerificationFailed
from concord.cli.say import say, warn
from concord.cli.setting import clock
from concord.release.folder import MANIFEST

UNVERIFIED = typer.Option(False, "--unverified", help="Use it though it cannot be verified.")


def checked_model(given: Path, *, unverified: bool) -> Path:
    """A model folder or GGUF file; a release is verified before any of it is loaded.

    Of a release that was fetched in part, what is here is verified. A folder that is no release has
    nothing to be checked against; that is said. Lines go to standard error.

    Raises:
        VerificationFailed: it is of a release that is not what was published.
        DocumentError: there is no such folder, or it holds several models.
    """
    if given.suffix == ".gguf" and given.is_file():
        model, above = given, given.resolve().parents[:2]
    else:
        model = model_folder(given)
        above = [model]
    release = next((folder for folder in above if (folder / MANIFEST).is_file()), None)
    if release is None:
        warn(f"{model} is of no release: nobody says who made it, and nothing was verified")
    elif unverified:
        warn(f"{release} was not verified")
    else:
        _verify(release, model)
    return model


def model_folder(folder: Path) -> Path:
    """The folder itself, or the only model in a federation's folder.

    Raises:
        DocumentError: it holds several.
    """
    if (folder / "config.json").exists():
        return folder
    found = sorted(path.parent for path in folder.glob("runs/*/model/config.json"))
    if len(found) > 1:
        named = ", ".join(str(path) for path in found)
        raise DocumentError("holds several models", where=folder, remedy=f"name one of {named}")
    return found[0] if found else folder


def _verify(release: Path, model: Path) -> None:
    from concord.release.parts import chosen
    from concord.release.verify import verify_release

    try:
        found = verify_release(release, clock=clock(), candidate=True, partial=True)
        manifest = found.manifest
        if manifest is None:
            return
        if not found.published:
            raise VerificationFailed(
                f"version {manifest.version} was not published",
                remedy="ask for one that the members published",
            )
        needed = [] if model.is_file() else chosen(manifest.files, ["weights"])
        for path in needed:
            if not (release / path).is_file():
                raise VerificationFailed(
                    "is missing", where=path, remedy="fetch it: concord release fetch"
                )
    except VerificationFailed as error:
        raise VerificationFailed(
            error.message,
            where=f"{release}: {error.where}" if error.where else release,
            remedy=f"{error.remedy or 'fetch the release again'}; or use it as it is: --unverified",
        ) from error
    say(f"verified: version {manifest.version} of {manifest.name}", style="green", err=True)
    for notice in found.notices:
        warn(notice)
