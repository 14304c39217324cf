/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Messages to ourselves: several handlers, order, removal, and calls from inside handlers. */
#include "check.h"

static uint64_t base;
static int seen[4];
static int removed;
static char last[64];

/* the type of its own argument, without a cast */
static void count(struct ctdb_connection *ctdb, uint64_t srvid, TDB_DATA data, int *counter)
{
	(void)srvid;
	CHECK(ctdb != NULL && data.dsize < sizeof(last));
	memcpy(last, data.dptr, data.dsize);
	last[data.dsize] = 0;
	*counter += 1;
}

static void removed_cb(struct ctdb_connection *ctdb, struct ctdb_request *req, void *unused)
{
	(void)unused;
	CHECK(ctdb_remove_message_handler_recv(ctdb, req));
	ctdb_request_free(req);
	removed++;
}

static void set_cb(struct ctdb_connection *ctdb, struct ctdb_request *req, int *done)
{
	/* active from here on, not before */
	CHECK(ctdb_set_message_handler_recv(ctdb, req));
	ctdb_request_free(req);
	*done += 1;
}

static void several(struct ctdb_connection *ctdb)
{
	int done = 0;
	int i;

	CHECK(ctdb_set_message_handler_send(ctdb, base, count, &seen[0], set_cb, &done) != NULL);
	CHECK(ctdb_set_message_handler_send(ctdb, base, count, &seen[1], set_cb, &done) != NULL);
	SERVE_UNTIL(ctdb, done == 2);
	CHECK(ctdb_set_message_handler(ctdb, base + 1, count, &seen[2]));
	for (i = 0; i < 5; i++) {
		char text[16];

		snprintf(text, sizeof(text), "number %d", i);
		CHECK(ctdb_send_message(ctdb, 0, base, text_data(text)));
	}
	CHECK(ctdb_send_message(ctdb, CTDB_BROADCAST_CONNECTED, base + 1, text_data("")));
	CHECK(ctdb_num_out_queue(ctdb) == 6);
	SERVE_UNTIL(ctdb, seen[0] == 5 && seen[1] == 5 && seen[2] == 1);
	CHECK(ctdb_num_in_flight(ctdb) == 0);
}

static void removal(struct ctdb_connection *ctdb)
{
	struct ctdb_request *req;
	uint32_t pnn;

	errno = 0;
	CHECK(!ctdb_remove_message_handler(ctdb, base, count, &seen[3]) && errno == ENOENT);
	CHECK(ctdb_remove_message_handler_send(ctdb, base + 9, count, &seen[0], removed_cb, NULL) == NULL);
	req = ctdb_remove_message_handler_send(ctdb, base, count, &seen[0], removed_cb, NULL);
	CHECK(req != NULL);
	SERVE_UNTIL(ctdb, removed == 1);
	CHECK(ctdb_remove_message_handler(ctdb, base + 1, count, &seen[2]));
	CHECK(ctdb_send_message(ctdb, 0, base, text_data("one left")));
	CHECK(ctdb_send_message(ctdb, 0, base + 1, text_data("nobody")));
	SERVE_UNTIL(ctdb, seen[1] == 6);
	CHECK(ctdb_getpnn(ctdb, 0, &pnn));
	CHECK(seen[0] == 5 && seen[2] == 1 && strcmp(last, "one left") == 0);
	CHECK(ctdb_remove_message_handler(ctdb, base, count, &seen[1]));
}

/* a handler that removes itself and asks for more in between */
static void once(struct ctdb_connection *ctdb, uint64_t srvid, TDB_DATA data, int *counter)
{
	uint32_t pnn = 1;

	CHECK(data_is(data, "once"));
	*counter += 1;
	CHECK(ctdb_getpnn(ctdb, CTDB_CURRENT_NODE, &pnn) && pnn == 0);
	CHECK(ctdb_remove_message_handler(ctdb, srvid, once, counter));
	CHECK(data_is(data, "once"));
}

static void inside(struct ctdb_connection *ctdb)
{
	int called = 0;
	uint32_t pnn;

	CHECK(ctdb_set_message_handler(ctdb, base + 2, once, &called));
	CHECK(ctdb_send_message(ctdb, 0, base + 2, text_data("once")));
	SERVE_UNTIL(ctdb, called == 1);
	CHECK(ctdb_send_message(ctdb, 0, base + 2, text_data("once")));
	CHECK(ctdb_getpnn(ctdb, 0, &pnn) && called == 1);
}

static void large(struct ctdb_connection *ctdb)
{
	static unsigned char bytes[1 << 20];
	TDB_DATA data;
	uint32_t pnn;

	memset(bytes, 'x', sizeof(bytes));
	data.dptr = bytes;
	data.dsize = sizeof(bytes);
	/* nobody listens; it has to get through all the same, and what comes behind it */
	CHECK(ctdb_send_message(ctdb, 0, base + 3, data));
	CHECK(ctdb_getpnn(ctdb, 0, &pnn) && pnn == 0);
}

static void forgotten_cb(struct ctdb_connection *ctdb, struct ctdb_request *req, int *done)
{
	(void)ctdb;
	/* freed without having been received: the handler is never called */
	ctdb_request_free(req);
	*done += 1;
}

static void forgotten(struct ctdb_connection *ctdb)
{
	int done = 0;
	int called = 0;
	uint32_t pnn;

	CHECK(ctdb_set_message_handler_send(ctdb, base + 4, count, &called, forgotten_cb, &done));
	SERVE_UNTIL(ctdb, done == 1);
	CHECK(ctdb_send_message(ctdb, 0, base + 4, text_data("lost")));
	CHECK(ctdb_getpnn(ctdb, 0, &pnn) && called == 0);
}

static void end(struct ctdb_connection *ctdb, uint64_t srvid, TDB_DATA data, int *called)
{
	(void)srvid;
	(void)data;
	*called += 1;
	ctdb_disconnect(ctdb);
}

int main(int argc, char **argv)
{
	struct ctdb_connection *ctdb = connect_to(argc, argv);
	int called = 0;
	int i;

	base = CTDB_SRVID_TEST_RANGE | (uint64_t)getpid() << 8;
	several(ctdb);
	removal(ctdb);
	inside(ctdb);
	large(ctdb);
	forgotten(ctdb);
	/* disconnecting inside a handler is the end of it */
	CHECK(ctdb_set_message_handler(ctdb, base, end, &called));
	CHECK(ctdb_send_message(ctdb, 0, base, text_data("end")));
	for (i = 0; called == 0 && i < 100; i++) {
		struct pollfd pfd;

		pfd.fd = ctdb_get_fd(ctdb);
		pfd.events = (short)ctdb_which_events(ctdb);
		if (poll(&pfd, 1, 20000) < 0)
			continue;
		if (!ctdb_service(ctdb, pfd.revents))
			CHECK(called == 1);
	}
	CHECK(called == 1);
	printf("done\n");
	return 0;
}
