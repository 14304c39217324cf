/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The daemon is killed at a step: wide_lost SOCKET STEP
 *
 * Says "ready", and goes on at the next line of its input, with the daemon dead. What the step has begun fails
 * then, and so does all else, at once; everything can be freed. */

#include "wide.h"

static struct ctdbx_client *client;
static struct ctdbx_db *db;

static void ready(void)
{
	puts("ready");
	fflush(stdout);
	check(getchar() == '\n');
}

static void connected(void)
{
	uint32_t clients;

	ready();
	expect(CTDBX_DISCONNECTED, ctdbx_ping(client, CTDBX_THIS_NODE, LIMIT, &clients));
}

static void attaching(void)
{
	struct ctdbx_db *other;

	ready();
	expect(CTDBX_DISCONNECTED, ctdbx_attach(client, "lost2.tdb", CTDBX_VOLATILE, LIMIT, &other));
}

static void locked(void)
{
	struct ctdbx_record *record, *other;
	struct ctdbx_view view;

	must(ctdbx_lock(db, TEXT("key"), LIMIT, &record));
	must(ctdbx_store_locked(record, TEXT("before")));
	ready();
	/* the file has been closed: a daemon that comes back must not wait for us */
	expect(CTDBX_DISCONNECTED, ctdbx_lock(db, TEXT("other"), LIMIT, &other));
	expect(CTDBX_LOST, ctdbx_store_locked(record, TEXT("after")));
	(void)ctdbx_value(record, &view);
	ctdbx_unlock(record);
}

static void in_transaction(void)
{
	struct ctdbx_transaction *transaction;
	struct ctdbx_db *persistent;
	struct ctdbx_blob blob;
	uint32_t clients;
	int result;

	must(ctdbx_attach(client, "lost_p.tdb", CTDBX_PERSISTENT, LIMIT, &persistent));
	must(ctdbx_begin(persistent, CTDBX_WRITE, LIMIT, &transaction));
	must(ctdbx_transaction_store(transaction, TEXT("key"), TEXT("value")));
	ready();
	/* reading the local copy needs no daemon: it may be read until the loss has been noticed */
	expect(CTDBX_DISCONNECTED, ctdbx_ping(client, CTDBX_THIS_NODE, LIMIT, &clients));
	result = ctdbx_transaction_fetch(transaction, TEXT("other"), LIMIT, &blob);
	check(result == CTDBX_LOST || result == CTDBX_DISCONNECTED);
	result = ctdbx_commit(transaction, LIMIT);
	check(result == CTDBX_LOST || result == CTDBX_DISCONNECTED);
	ctdbx_detach(persistent);
}

static void in_traverse(void)
{
	struct ctdbx_traverse *traverse;
	struct ctdbx_view key, value;
	int result;

	must(ctdbx_store(db, TEXT("key"), TEXT("value"), LIMIT));
	must(ctdbx_traverse_begin(db, LIMIT, &traverse));
	ready();
	do
		result = ctdbx_traverse_next(traverse, LIMIT, &key, &value);
	while (result == CTDBX_OK);
	check(result == CTDBX_END || result == CTDBX_DISCONNECTED || result == CTDBX_LOST);
	ctdbx_traverse_end(traverse);
}

static void globally_locked(void)
{
	struct ctdbx_global_lock *lock, *other;

	must(ctdbx_g_lock(client, TEXT("lost"), CTDBX_WRITE, LIMIT, &lock));
	ready();
	expect(CTDBX_DISCONNECTED, ctdbx_g_lock(client, TEXT("other"), CTDBX_WRITE, LIMIT, &other));
	check(ctdbx_g_unlock(lock, LIMIT) != CTDBX_OK);
}

static void listening(void)
{
	uint64_t here = ctdbx_private_address();
	struct ctdbx_subscription *subscription;
	struct ctdbx_tunnel *tunnel;
	struct ctdbx_event *event;

	must(ctdbx_subscribe(client, here, NULL, LIMIT, &subscription));
	must(ctdbx_tunnel_open(client, here, NULL, LIMIT, &tunnel));
	must(ctdbx_notify(client, here, TEXT("gone"), LIMIT));
	ready();
	expect(CTDBX_DISCONNECTED, ctdbx_flush(client, LIMIT));
	expect(CTDBX_DISCONNECTED, ctdbx_tunnel_send(tunnel, 0, TEXT("nobody")));
	must(ctdbx_next_event(client, LIMIT, &event));
	check(event->kind == CTDBX_EVENT_DISCONNECTED);
	ctdbx_free(event);
	expect(CTDBX_DISCONNECTED, ctdbx_next_event(client, LIMIT, &event));
	ctdbx_tunnel_close(tunnel);
	ctdbx_unsubscribe(subscription);
}

static const struct step {
	const char *name;
	void (*run)(void);
} steps[] = {
	{ "connected", connected },   { "attach", attaching },	   { "locked", locked },
	{ "transaction", in_transaction }, { "traverse", in_traverse }, { "g_lock", globally_locked },
	{ "listening", listening },
};

int main(int argc, char **argv)
{
	struct ctdbx_node_list *nodes;
	struct ctdbx_client *another;
	const struct step *step;
	struct ctdbx_blob blob;

	check(argc == 3);
	must(ctdbx_connect(argv[1], 0, LIMIT, &client));
	must(ctdbx_attach(client, "lost.tdb", CTDBX_VOLATILE, LIMIT, &db));
	for (step = steps; strcmp(step->name, argv[2]) != 0; step++)
		check(step + 1 < steps + sizeof(steps) / sizeof(steps[0]));
	step->run();
	expect(CTDBX_DISCONNECTED, ctdbx_nodes(client, CTDBX_THIS_NODE, LIMIT, &nodes));
	expect(CTDBX_DISCONNECTED, ctdbx_send(client, 0, 1, TEXT("x")));
	expect(CTDBX_DISCONNECTED, ctdbx_store(db, TEXT("k"), TEXT("v"), LIMIT));
	expect(CTDBX_DISCONNECTED, ctdbx_read_copy(db, TEXT("k"), LIMIT, &blob));
	expect(CTDBX_CONNECT, ctdbx_connect(argv[1], 0, LIMIT, &another));
	ctdbx_detach(db);
	ctdbx_disconnect(client);
	puts("done");
	return 0;
}
