// SPDX-License-Identifier: Apache-2.0
// Stands between a node and the system's fsync and fdatasync, so that a chaos run can make them fail, take long or lie.
// CHAOS_CONTROL names a file of at least 32 bytes, shared with whoever commands: eight 32-bit numbers, as below.
// Without it, and while all are zero, nothing changes.
//
//     cc -shared -fPIC -O2 -o disk_shim.so disk_shim.c -ldl
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

struct control {
    _Atomic int32_t failures;   // how many of the next calls return EIO without syncing
    _Atomic int32_t delay;      // milliseconds that each call takes longer
    _Atomic int32_t lies;       // not 0: calls return success without syncing
    _Atomic int32_t calls;      // how many there have been
    _Atomic int32_t failed;     // how many were made to fail
    _Atomic int32_t lied;       // how many were lies
};

static struct control nothing;
static struct control *control = &nothing;

__attribute__((constructor)) static void attach(void) {
    const char *path = getenv("CHAOS_CONTROL");
    if (!path) return;
    int file = open(path, O_RDWR | O_CLOEXEC);
    if (file < 0) _exit(97);
    void *memory = mmap(NULL, 32, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (memory == MAP_FAILED) _exit(97);
    control = memory;
}

static int synced(const char *name, int file) {
    atomic_fetch_add(&control->calls, 1);
    int32_t delay = atomic_load(&control->delay);
    if (delay > 0) {
        struct timespec time = {delay / 1000, (long)(delay % 1000) * 1000000};
        nanosleep(&time, NULL);
    }
    int32_t left = atomic_load(&control->failures);
    while (left > 0) {
        if (!atomic_compare_exchange_weak(&control->failures, &left, left - 1)) continue;
        atomic_fetch_add(&control->failed, 1);
        errno = EIO;
        return -1;
    }
    if (atomic_load(&control->lies)) {
        atomic_fetch_add(&control->lied, 1);
        return 0;
    }
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    return real(file);
}

int fsync(int file) { return synced("fsync", file); }
int fdatasync(int file) { return synced("fdatasync", file); }
