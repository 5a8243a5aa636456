// SPDX-License-Identifier: Apache-2.0
//
// Timers that a jump of the wall clock leaves alone, as the system's do.
//
// libfaketime 0.9.10 also shifts what timerfd_settime is told, whatever the timer's clock is and whether or not it
// leaves the monotonic clock alone. A timer of the monotonic clock is then set years ahead or into the past, and every
// Task.sleep of a process under it lasts for ever: libdispatch's timers are of this kind. Loaded before libfaketime,
// this hands the call to the kernel as it came.

#define _GNU_SOURCE
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

int timerfd_settime(int timer, int flags, const struct itimerspec *new, struct itimerspec *old) {
    return (int)syscall(SYS_timerfd_settime, timer, flags, new, old);
}
