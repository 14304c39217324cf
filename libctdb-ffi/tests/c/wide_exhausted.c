/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Without descriptors nothing opens, the library says so, and what is open goes on: wide_exhausted SOCKET
 *
 * Each step is tried with none that is free, with one, with two, until it goes. */

#include "wide.h"
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

static int lowest(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	check(fd >= 0 && close(fd) == 0);
	return fd;
}

static void limit(int most)
{
	struct rlimit limits;

	check(getrlimit(RLIMIT_NOFILE, &limits) == 0);
	limits.rlim_cur = (rlim_t)most;
	check(setrlimit(RLIMIT_NOFILE, &limits) == 0);
}

/* A step has failed for want of descriptors, and nothing else. */
static void wanting(int result, int most)
{
	if (result != CTDBX_SYSTEM && result != CTDBX_CONNECT && result != CTDBX_FILE)
		expect(CTDBX_SYSTEM, result);
	check(strlen(ctdbx_error_text()) > 0);
	check(most < 16);
}

static struct ctdbx_client *connected(const char *socket, struct ctdbx_client *other)
{
	struct ctdbx_client *client;
	int first = lowest();
	uint32_t pnn;
	int result;
	int most;

	for (most = 0;; most++) {
		limit(first + most);
		result = ctdbx_connect(socket, 0, LIMIT, &client);
		if (other != NULL)
			must(ctdbx_pnn(other, LIMIT, &pnn));
		if (result == CTDBX_OK)
			break;
		wanting(result, most);
	}
	check(most > 0);
	limit(1024);
	return client;
}

static struct ctdbx_db *attached(struct ctdbx_client *client, const char *name, uint32_t kind)
{
	struct ctdbx_db *db;
	int first = lowest();
	uint32_t pnn;
	int result;
	int most;

	for (most = 0;; most++) {
		limit(first + most);
		result = ctdbx_attach(client, name, kind, LIMIT, &db);
		must(ctdbx_pnn(client, LIMIT, &pnn));
		if (result == CTDBX_OK)
			break;
		wanting(result, most);
	}
	check(most > 0);
	limit(1024);
	return db;
}

int main(int argc, char **argv)
{
	struct ctdbx_client *first, *second;
	struct ctdbx_db *db, *persistent;
	struct ctdbx_blob blob;
	int begin;

	check(argc == 2);
	begin = lowest();
	first = connected(argv[1], NULL);
	second = connected(argv[1], first);
	db = attached(first, "wide_exhausted.tdb", CTDBX_VOLATILE);
	persistent = attached(second, "wide_exhausted_p.tdb", CTDBX_PERSISTENT);
	/* what is open needs no more of them */
	limit(lowest());
	must(ctdbx_store(db, TEXT("key"), TEXT("value"), LIMIT));
	must(ctdbx_read(db, TEXT("key"), LIMIT, &blob));
	check(equal(blob, "value"));
	limit(1024);
	ctdbx_detach(persistent);
	ctdbx_detach(db);
	ctdbx_disconnect(second);
	ctdbx_disconnect(first);
	check(lowest() == begin);
	puts("done");
	return 0;
}
