/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Without descriptors nothing opens, errno says so, and what is open goes on. */
#include <fcntl.h>
#include <sys/resource.h>
#include "check.h"

static void limit(rlim_t most)
{
	struct rlimit limits;

	CHECK(getrlimit(RLIMIT_NOFILE, &limits) == 0);
	limits.rlim_cur = most;
	CHECK(setrlimit(RLIMIT_NOFILE, &limits) == 0);
}

int main(int argc, char **argv)
{
	struct ctdb_connection *ctdb = connect_to(argc, argv);
	struct ctdb_db *db;
	uint32_t pnn;
	int next;

	CHECK(ctdb_getpnn(ctdb, CTDB_CURRENT_NODE, &pnn));
	next = open("/dev/null", O_RDONLY | O_CLOEXEC);
	CHECK(next >= 0 && close(next) == 0);
	limit((rlim_t)next);
	errno = 0;
	CHECK(ctdb_connect(argv[1], ctdb_log_file, stderr) == NULL && errno == EMFILE);
	errno = 0;
	CHECK(ctdb_attachdb(ctdb, "exhausted.tdb", false, 0) == NULL && errno == EMFILE);
	CHECK(ctdb_getpnn(ctdb, CTDB_CURRENT_NODE, &pnn) && pnn == 0);
	limit((rlim_t)next + 8);
	db = ctdb_attachdb(ctdb, "exhausted.tdb", false, 0);
	CHECK(db != NULL);
	ctdb_detachdb(ctdb, db);
	ctdb_disconnect(ctdb);
	/* nothing was left open */
	CHECK(open("/dev/null", O_RDONLY | O_CLOEXEC) <= next);
	printf("done\n");
	return 0;
}
