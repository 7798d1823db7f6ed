"""Private keys as files: PKCS#8 PEM, readable by their owner only.

What is refused is refused on the opened file, not on its name, so that nobody can swap the file
between the check and the reading.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from concord.base.errors import KeyRefused
from concord.base.files import storage_errors, write_new
from concord.crypto.keys import PrivateKey

MAX_KEY_BYTES = 4096  # a PKCS#8 Ed25519 key has 119
_NEW_KEY = "make a key with `concord keys new`"


def save_key(path: Path, key: PrivateKey) -> None:
    """Write `key` to a new file that its owner alone can read.

    Raises:
        KeyRefused: something lies at `path` already.
        StorageError: the folder cannot be written.
    """
    if os.path.lexists(path):
        message = "is there already, and a key is never overwritten"
        raise KeyRefused(message, where=path, remedy="choose another name, or move it away")
    write_new(path, _pem(key), mode=0o600)


def load_key(path: Path) -> PrivateKey:
    """Read a key file.

    Raises:
        KeyRefused: it is missing, a link, not ours, open to others, too large, encrypted,
            damaged, or holds another kind of key.
        StorageError: it cannot be read.
    """
    data = _read_private(path)
    try:
        key = load_pem_private_key(data, password=None)
    except TypeError as error:
        message = "the key is encrypted with a passphrase"
        remedy = "decrypt it with `openssl pkcs8 -topk8 -nocrypt`, and keep the disk encrypted"
        raise KeyRefused(message, where=path, remedy=remedy) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _damaged(path) from error
    if not isinstance(key, Ed25519PrivateKey):
        kind = type(key).__name__.removesuffix("PrivateKey").strip("_")
        raise KeyRefused(f"holds a key of kind {kind}, not Ed25519", where=path, remedy=_NEW_KEY)
    wrapped = PrivateKey(key)
    if _pem(wrapped) != data:
        raise _damaged(path)
    return wrapped


def check_private(status: os.stat_result, owner: int, where: Path) -> None:
    """Refuse a file that another user could have read or written.

    Raises:
        KeyRefused: it is no plain file, belongs to another than user id `owner`, has permission
            bits for others, or is too large for a key.
    """
    if not stat.S_ISREG(status.st_mode):
        raise KeyRefused("is not a plain file", where=where, remedy="give the key file itself")
    if status.st_uid != owner:
        message = f"belongs to user {status.st_uid}, not to user {owner} who runs this"
        remedy = "run as the owner of the key, or make your own"
        raise KeyRefused(message, where=where, remedy=remedy)
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        message = f"others may read or write it (mode {mode:04o})"
        remedy = "chmod 600 it; if others had access, replace the key"
        raise KeyRefused(message, where=where, remedy=remedy)
    if status.st_size > MAX_KEY_BYTES:
        raise KeyRefused(f"{status.st_size:,} bytes are too many for a key", where=where)


def _read_private(path: Path) -> bytes:
    try:
        # Not blocking, so that a pipe under the name of a key is refused, not waited for.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path, flags)
    except OSError as error:
        raise _unopened(path, error) from error
    try:
        with storage_errors(path):
            check_private(os.fstat(descriptor), os.geteuid(), path)
            return os.read(descriptor, MAX_KEY_BYTES + 1)
    finally:
        os.close(descriptor)


def _unopened(path: Path, error: OSError) -> KeyRefused:
    if error.errno == errno.ELOOP:
        remedy = "give the key file itself"
        return KeyRefused("is a symbolic link, not a key file", where=path, remedy=remedy)
    if error.errno == errno.ENOENT:
        return KeyRefused("is not there", where=path, remedy=_NEW_KEY)
    reason = os.strerror(error.errno) if error.errno else str(error)
    return KeyRefused(f"cannot be read: {reason}", where=path, remedy="check who owns it")


def _damaged(path: Path) -> KeyRefused:
    message = "is damaged, or is not exactly one Ed25519 key in PKCS#8 PEM form"
    return KeyRefused(message, where=path, remedy="restore it from a copy, or rotate the key")


def _pem(key: PrivateKey) -> bytes:
    return key.inner.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
