/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What the test programs share. A check that fails ends the program with status 3: under injected faults that is
 * allowed, a crash or a program that hangs is not. */
#ifndef CHECK_H
#define CHECK_H

#include <ctdb.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#define CHECK(condition)                                                                                \
	do {                                                                                            \
		if (!(condition)) {                                                                     \
			fprintf(stderr, "%s:%d: not so: %s (errno %d)\n", __FILE__, __LINE__, #condition, \
				errno);                                                                 \
			exit(3);                                                                        \
		}                                                                                       \
	} while (0)

/* The application's loop, until a condition holds. */
#define SERVE_UNTIL(ctdb, condition)                                                                     \
	do {                                                                                            \
		while (!(condition)) {                                                                  \
			struct pollfd pfd;                                                              \
			pfd.fd = ctdb_get_fd(ctdb);                                                     \
			pfd.events = (short)ctdb_which_events(ctdb);                                    \
			pfd.revents = 0;                                                                \
			if (poll(&pfd, 1, 20000) < 0 && errno == EINTR)                                 \
				continue;                                                               \
			CHECK(pfd.revents != 0);                                                        \
			CHECK(ctdb_service(ctdb, pfd.revents));                                         \
		}                                                                                       \
	} while (0)

static inline TDB_DATA text_data(const char *text)
{
	TDB_DATA data;

	data.dptr = (unsigned char *)(uintptr_t)text;
	data.dsize = strlen(text);
	return data;
}

static inline int data_is(TDB_DATA data, const char *text)
{
	return data.dsize == strlen(text) && memcmp(data.dptr, text, data.dsize) == 0;
}

static inline struct ctdb_connection *connect_to(int argc, char **argv)
{
	struct ctdb_connection *ctdb;

	CHECK(argc > 1);
	/* counted by the tests that want to see what is logged */
	ctdb = ctdb_connect(argv[1], ctdb_log_file, stderr);
	CHECK(ctdb != NULL);
	return ctdb;
}

#endif
