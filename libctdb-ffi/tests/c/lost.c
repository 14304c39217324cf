/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * The daemon is killed at a step: lost SOCKET STEP says "ready", and goes on at the next line of its input, with
 * the daemon dead. Everything fails then, at once, and no signal comes.
 */
#include "check.h"

static struct ctdb_connection *ctdb;

static void ready(void)
{
	printf("ready\n");
	fflush(stdout);
	CHECK(getchar() == '\n');
}

static void never(struct ctdb_connection *connection, struct ctdb_request *req, void *unused)
{
	(void)connection;
	(void)req;
	(void)unused;
	CHECK(!"answered by the dead");
}

static int walk_cb(struct ctdb_connection *connection, struct ctdb_db *db, int status, TDB_DATA key, TDB_DATA data,
		   void *unused)
{
	(void)connection;
	(void)db;
	(void)status;
	(void)key;
	(void)data;
	(void)unused;
	return 0;
}

/* Serves until the loss is noticed: at once, or when the answers that came before it are used up. */
static void until_lost(void)
{
	int i;

	for (i = 0; i < 10; i++) {
		struct pollfd pfd;

		pfd.fd = ctdb_get_fd(ctdb);
		pfd.events = (short)ctdb_which_events(ctdb);
		CHECK(poll(&pfd, 1, 5000) == 1);
		if (!ctdb_service(ctdb, pfd.revents))
			return;
	}
	CHECK(!"the loss is not noticed");
}

static void everything_fails(void)
{
	struct ctdb_node_map *nodemap;
	uint32_t pnn;

	CHECK(!ctdb_service(ctdb, POLLIN | POLLOUT));
	CHECK(!ctdb_getpnn(ctdb, CTDB_CURRENT_NODE, &pnn));
	CHECK(!ctdb_getnodemap(ctdb, CTDB_CURRENT_NODE, &nodemap) && nodemap == NULL);
	CHECK(ctdb_getpnn_send(ctdb, 0, never, NULL) == NULL && errno == ENOTCONN);
	CHECK(!ctdb_send_message(ctdb, 0, 1, text_data("x")));
	CHECK(ctdb_attachdb(ctdb, "lost.tdb", false, 0) == NULL);
	CHECK(!ctdb_set_message_handler(ctdb, 1, NULL, NULL));
}

int main(int argc, char **argv)
{
	struct ctdb_db *db = NULL;
	struct ctdb_lock *lock;
	const char *step;
	TDB_DATA data;
	uint32_t value;

	CHECK(argc > 2);
	step = argv[2];
	ctdb = connect_to(argc, argv);
	if (strcmp(step, "connected") == 0) {
		ready();
		CHECK(!ctdb_getpnn(ctdb, CTDB_CURRENT_NODE, &value));
	} else if (strcmp(step, "unsent") == 0) {
		CHECK(ctdb_getpnn(ctdb, CTDB_CURRENT_NODE, &value));
		CHECK(ctdb_getpnn_send(ctdb, 0, never, NULL) != NULL);
		ready();
		CHECK(!ctdb_service(ctdb, POLLOUT));
	} else if (strcmp(step, "waiting") == 0) {
		CHECK(ctdb_getpnn(ctdb, CTDB_CURRENT_NODE, &value));
		ready();
		until_lost();
	} else if (strcmp(step, "message") == 0) {
		CHECK(ctdb_getpnn(ctdb, CTDB_CURRENT_NODE, &value));
		ready();
		CHECK(ctdb_send_message(ctdb, 0, 1, text_data("x")));
		until_lost();
	} else if (strcmp(step, "attach") == 0) {
		CHECK(ctdb_getpnn(ctdb, CTDB_CURRENT_NODE, &value));
		ready();
		CHECK(ctdb_attachdb(ctdb, "lost.tdb", false, 0) == NULL);
	} else if (strcmp(step, "leader") == 0) {
		CHECK(ctdb_getpnn(ctdb, CTDB_CURRENT_NODE, &value));
		ready();
		CHECK(!ctdb_getrecmaster(ctdb, CTDB_CURRENT_NODE, &value));
	} else if (strcmp(step, "locked") == 0) {
		db = ctdb_attachdb(ctdb, "lost.tdb", false, 0);
		CHECK(db != NULL);
		lock = ctdb_readrecordlock(ctdb, db, text_data("here"), &data);
		CHECK(lock != NULL);
		ready();
		/* the file is still there */
		CHECK(ctdb_writerecord(db, lock, text_data("written")));
		ctdb_release_lock(db, lock);
		CHECK(ctdb_readrecordlock(ctdb, db, text_data("elsewhere"), &data) == NULL);
		lock = ctdb_readrecordlock(ctdb, db, text_data("here"), &data);
		CHECK(lock != NULL && data_is(data, "written"));
		ctdb_release_lock(db, lock);
	} else if (strcmp(step, "traverse") == 0) {
		db = ctdb_attachdb(ctdb, "lost.tdb", false, 0);
		CHECK(db != NULL && ctdb_traverse_async(db, walk_cb, NULL));
		ready();
		until_lost();
	} else {
		CHECK(!"such a step");
	}
	everything_fails();
	if (db != NULL)
		ctdb_detachdb(ctdb, db);
	ctdb_disconnect(ctdb);
	printf("done\n");
	return 0;
}
