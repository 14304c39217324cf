/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * To be preloaded: system calls on sockets that do what they may do, but seldom do.
 * FAULT_SEED=n: short reads and writes, EINTR, EAGAIN, by chance. FAULT_END=n: the n-th read or write and all after it
 * find the other end gone. How many there were is said at the end, on descriptor FAULT_REPORT.
 *
 * Who waits with epoll for edges may take a short read for the end of what there is. So the edge comes again.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))

static uint64_t seed;
static long end;
static long calls;
static uint64_t turns;

/* Connections, by descriptor, and who waits for them. */
static struct watch {
	int connected;
	int epoll;
	struct epoll_event event;
} watched[1024];

static long number(const char *name)
{
	const char *text = getenv(name);

	return text == NULL ? 0 : atol(text);
}

__attribute__((constructor)) static void begin(void)
{
	seed = (uint64_t)number("FAULT_SEED");
	end = number("FAULT_END");
}

__attribute__((destructor)) static void report(void)
{
	if (getenv("FAULT_REPORT") != NULL)
		dprintf((int)number("FAULT_REPORT"), "calls %ld\n", __atomic_load_n(&calls, __ATOMIC_RELAXED));
}

/* On any thread. */
static unsigned chance(unsigned below)
{
	uint64_t n = (seed << 32) + __atomic_add_fetch(&turns, 1, __ATOMIC_RELAXED);

	n = (n ^ n >> 30) * 0xBF58476D1CE4E5B9u;
	n = (n ^ n >> 27) * 0x94D049BB133111EBu;
	return (unsigned)(n >> 33) % below;
}

static struct watch *watch(int fd)
{
	return fd >= 0 && fd < 1024 ? &watched[fd] : NULL;
}

static void edge_again(int fd)
{
	struct watch *known = watch(fd);

	if (known != NULL && known->event.events != 0)
		REAL(epoll_ctl)(known->epoll, EPOLL_CTL_MOD, fd, &known->event);
}

/* 1: the other end is gone; -1: failed, errno is set; 0: go on with *length */
static int disturb(int fd, size_t *length)
{
	long call;

	if (watch(fd) == NULL || !watched[fd].connected)
		return 0;
	call = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
	if (end > 0 && call >= end) {
		shutdown(fd, SHUT_RDWR);
		return 1;
	}
	if (seed == 0)
		return 0;
	switch (chance(4)) {
	case 0:
		errno = EINTR;
		return -1;
	case 1:
		edge_again(fd);
		errno = EAGAIN;
		return -1;
	default:
		if (*length > 1)
			*length = 1 + chance(*length < 64 ? (unsigned)*length : 64);
		return 0;
	}
}

/* After a call that was cut short. */
static ssize_t did(int fd, ssize_t done)
{
	if (seed != 0 && done > 0)
		edge_again(fd);
	return done;
}

ssize_t recv(int fd, void *buffer, size_t length, int flags)
{
	int how = disturb(fd, &length);

	/* what has come is lost too */
	return how > 0 ? 0 : how < 0 ? -1 : did(fd, REAL(recv)(fd, buffer, length, flags));
}

ssize_t send(int fd, const void *buffer, size_t length, int flags)
{
	/* of a connection that has ended the kernel says so, and how it says it depends on the flags */
	return disturb(fd, &length) < 0 ? -1 : did(fd, REAL(send)(fd, buffer, length, flags));
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
	struct iovec part;

	if (count < 1)
		return REAL(writev)(fd, parts, count);
	part = parts[0];
	if (disturb(fd, &part.iov_len) < 0)
		return -1;
	return did(fd, part.iov_len == parts[0].iov_len ? REAL(writev)(fd, parts, count)
							 : REAL(writev)(fd, &part, 1));
}

int connect(int fd, const struct sockaddr *to, socklen_t length)
{
	if (watch(fd) != NULL)
		watched[fd].connected = 1;
	return REAL(connect)(fd, to, length);
}

int close(int fd)
{
	if (watch(fd) != NULL)
		watched[fd] = (struct watch){ 0 };
	return REAL(close)(fd);
}

int poll(struct pollfd *fds, nfds_t count, int timeout)
{
	if (seed != 0 && chance(4) == 0) {
		errno = EINTR;
		return -1;
	}
	return REAL(poll)(fds, count, timeout);
}

int epoll_wait(int epoll, struct epoll_event *events, int most, int timeout)
{
	if (seed != 0 && chance(4) == 0) {
		errno = EINTR;
		return -1;
	}
	return REAL(epoll_wait)(epoll, events, most, timeout);
}

int epoll_ctl(int epoll, int what, int fd, struct epoll_event *event)
{
	struct watch *known = watch(fd);

	if (known != NULL) {
		known->epoll = epoll;
		known->event = what == EPOLL_CTL_DEL || event == NULL ? (struct epoll_event){ 0 } : *event;
	}
	return REAL(epoll_ctl)(epoll, what, fd, event);
}
