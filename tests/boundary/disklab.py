"""A disk that is full, for this process alone."""

import resource
from contextlib import contextmanager


@contextmanager
def full_disk(room_bytes):
    """No file may grow over `room_bytes`: what a full disk does to whoever writes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
