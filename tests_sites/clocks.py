"""A machine whose clock is wrong: for all that runs in its processes, TLS included."""

import shutil
import subprocess
from contextlib import contextmanager

import pytest

from concord.federation.sites import processes

SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long off(void) {
    const char *seconds = getenv("CLOCK_OFF_S");
    return seconds ? atol(seconds) : 0;
}

int clock_gettime(clockid_t id, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int status = real(id, now);
    if (status == 0 && id == CLOCK_REALTIME) now->tv_sec += off();
    return status;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec exact;
    (void)zone;
    int status = clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return status;
}
"""


@pytest.fixture(scope="module")
def clock_off(tmp_path_factory):
    """A context in which sites are started whose clock is so many seconds ahead."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("a C compiler makes the wrong clock")
    folder = tmp_path_factory.mktemp("clock")
    source, library = folder / "clock.c", folder / "clock.so"
    source.write_text(SHIM)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)

    @contextmanager
    def off(seconds):
        true = processes.environment
        wrong = {"LD_PRELOAD": str(library), "CLOCK_OFF_S": str(seconds)}
        processes.environment = lambda source: {**true(source), **wrong}
        try:
            yield
        finally:
            processes.environment = true

    return off
