/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * To be preloaded: system calls on sockets that do what they may do, but seldom do.
 * FAULT_SEED=n: short reads and writes, EINTR, EAGAIN, by chance. FAULT_END=n: the n-th read or write and all after it
 * find the other end gone. How many there were is said at the end, on descriptor FAULT_REPORT.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static uint64_t state;
static long end;
static long calls;

static long number(const char *name)
{
	const char *text = getenv(name);

	return text == NULL ? 0 : atol(text);
}

__attribute__((constructor)) static void begin(void)
{
	state = (uint64_t)number("FAULT_SEED") * 0x9E3779B97F4A7C15u;
	end = number("FAULT_END");
}

__attribute__((destructor)) static void report(void)
{
	if (getenv("FAULT_REPORT") != NULL)
		dprintf((int)number("FAULT_REPORT"), "calls %ld\n", calls);
}

static unsigned chance(unsigned below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)(state >> 33) % below;
}

/* 1: the other end is gone; -1: failed, errno is set; 0: go on with *length */
static int disturb(size_t *length)
{
	calls++;
	if (end > 0 && calls >= end)
		return 1;
	if (state == 0)
		return 0;
	switch (chance(4)) {
	case 0:
		errno = EINTR;
		return -1;
	case 1:
		errno = EAGAIN;
		return -1;
	default:
		if (*length > 1)
			*length = 1 + chance(*length < 64 ? (unsigned)*length : 64);
		return 0;
	}
}

ssize_t recv(int fd, void *buffer, size_t length, int flags)
{
	ssize_t (*real)(int, void *, size_t, int) = dlsym(RTLD_NEXT, "recv");
	int how = disturb(&length);

	return how > 0 ? 0 : how < 0 ? -1 : real(fd, buffer, length, flags);
}

ssize_t send(int fd, const void *buffer, size_t length, int flags)
{
	ssize_t (*real)(int, const void *, size_t, int) = dlsym(RTLD_NEXT, "send");
	int how = disturb(&length);

	if (how > 0) {
		/* as the kernel does */
		if ((flags & MSG_NOSIGNAL) == 0)
			raise(SIGPIPE);
		errno = EPIPE;
		return -1;
	}
	return how < 0 ? -1 : real(fd, buffer, length, flags);
}

int poll(struct pollfd *fds, nfds_t count, int timeout)
{
	int (*real)(struct pollfd *, nfds_t, int) = dlsym(RTLD_NEXT, "poll");

	if (end > 0 && calls >= end - 1 && count == 1) {
		/* a connection that has ended can be read */
		fds[0].revents = (short)(POLLIN | POLLHUP | (fds[0].events & POLLOUT));
		return 1;
	}
	if (state != 0 && chance(4) == 0) {
		errno = EINTR;
		return -1;
	}
	return real(fds, count, timeout);
}
