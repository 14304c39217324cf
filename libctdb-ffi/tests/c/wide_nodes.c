/* Two nodes: wide_nodes SOCKET0 SOCKET1
 *
 * One process is a client of both: each node has files of its own. */

#include "wide.h"
#include <pthread.h>
#include <unistd.h>

#define TURNS 100

static struct ctdbx_client *client[2];
static struct ctdbx_db *db[2], *persistent[2];

/* Both see both, and no recovery runs. */
static int together(int i)
{
	struct ctdbx_node_list *nodes;
	struct ctdbx_vnn_map *map;
	int mode, well;
	size_t n;

	must(ctdbx_nodes(client[i], CTDBX_THIS_NODE, LIMIT, &nodes));
	well = nodes->count == 2;
	for (n = 0; n < nodes->count; n++) {
		well &= nodes->items[n].flags == 0;
	}
	ctdbx_free(nodes);
	must(ctdbx_lmasters(client[i], CTDBX_THIS_NODE, LIMIT, &map));
	well &= map->count == 2;
	ctdbx_free(map);
	must(ctdbx_recovery_mode(client[i], CTDBX_THIS_NODE, LIMIT, &mode));
	return well && mode == 0;
}

static void *count(void *which)
{
	struct ctdbx_db *here = *(struct ctdbx_db **)which;
	struct ctdbx_record *record;
	struct ctdbx_view view;
	uint64_t value;
	int turn;

	for (turn = 0; turn < TURNS; turn++) {
		must(ctdbx_lock(here, TEXT("counter"), LIMIT, &record));
		must(ctdbx_value(record, &view));
		value = 0;
		memcpy(&value, view.data, view.size == sizeof(value) ? sizeof(value) : 0);
		value++;
		must(ctdbx_store_locked(record, &value, sizeof(value)));
		ctdbx_unlock(record);
	}
	return NULL;
}

static void records(void)
{
	struct ctdbx_traverse *traverse;
	struct ctdbx_view key, value;
	struct ctdbx_record *record;
	struct ctdbx_blob blob;
	uint64_t number;
	pthread_t other;
	int i, found = 0;

	for (i = 0; i < 2; i++) {
		must(ctdbx_attach(client[i], "nodes.tdb", CTDBX_READONLY, LIMIT, &db[i]));
		must(ctdbx_attach(client[i], "nodes_p.tdb", CTDBX_PERSISTENT, LIMIT, &persistent[i]));
	}
	/* what one writes the other reads, by asking and by a lent copy */
	must(ctdbx_store(db[0], TEXT("key"), TEXT("zero"), LIMIT));
	must(ctdbx_read(db[1], TEXT("key"), LIMIT, &blob));
	check(equal(blob, "zero"));
	must(ctdbx_read_copy(db[1], TEXT("key"), LIMIT, &blob));
	check(equal(blob, "zero"));
	must(ctdbx_store(db[0], TEXT("key"), TEXT("one"), LIMIT));
	must(ctdbx_read_copy(db[1], TEXT("key"), LIMIT, &blob));
	check(equal(blob, "one"));
	/* a lock here keeps the other out, until it is given back */
	must(ctdbx_lock(db[0], TEXT("held"), LIMIT, &record));
	expect(CTDBX_TIMED_OUT, ctdbx_store(db[1], TEXT("held"), TEXT("x"), 300));
	ctdbx_unlock(record);
	must(ctdbx_store(db[1], TEXT("held"), TEXT("x"), LIMIT));
	/* a record goes to and fro, and no turn is lost */
	check(pthread_create(&other, NULL, count, &db[1]) == 0);
	count(&db[0]);
	check(pthread_join(other, NULL) == 0);
	must(ctdbx_read(db[0], TEXT("counter"), LIMIT, &blob));
	check(blob.size == sizeof(number));
	memcpy(&number, blob.data, sizeof(number));
	ctdbx_free(blob.data);
	check(number == 2 * TURNS);
	must(ctdbx_traverse_begin(db[1], LIMIT, &traverse));
	while (ctdbx_traverse_next(traverse, LIMIT, &key, &value) == CTDBX_OK) {
		found++;
	}
	ctdbx_traverse_end(traverse);
	check(found == 3);
}

static void transactions(void)
{
	struct ctdbx_transaction *transaction;
	struct ctdbx_global_lock *one, *two;
	struct ctdbx_blob blob;

	must(ctdbx_begin(persistent[0], CTDBX_WRITE, LIMIT, &transaction));
	must(ctdbx_transaction_store(transaction, TEXT("key"), TEXT("value")));
	must(ctdbx_commit(transaction, LIMIT));
	must(ctdbx_read(persistent[1], TEXT("key"), LIMIT, &blob));
	check(equal(blob, "value"));
	must(ctdbx_g_lock(client[0], "both", 5, CTDBX_WRITE, LIMIT, &one));
	expect(CTDBX_TIMED_OUT, ctdbx_g_lock(client[1], "both", 5, CTDBX_WRITE, 300, &two));
	must(ctdbx_g_unlock(one, LIMIT));
	must(ctdbx_g_lock(client[1], "both", 5, CTDBX_WRITE, LIMIT, &two));
	must(ctdbx_g_unlock(two, LIMIT));
}

static void events(void)
{
	const uint64_t id = 0xFFFFFFFF00007777, here = ctdbx_private_address();
	struct ctdbx_subscription *subscription;
	struct ctdbx_tunnel *tunnel[2];
	struct ctdbx_event *event;
	int i;

	must(ctdbx_subscribe(client[1], here, NULL, LIMIT, &subscription));
	must(ctdbx_send(client[0], 1, here, TEXT("across")));
	must(ctdbx_next_event(client[1], LIMIT, &event));
	check(strcmp((const char *)event->data, "across") == 0);
	ctdbx_free(event);
	for (i = 0; i < 2; i++) {
		must(ctdbx_tunnel_open(client[i], id, NULL, LIMIT, &tunnel[i]));
	}
	for (i = 0; i < 2; i++) {
		must(ctdbx_tunnel_send(tunnel[i], 1 - i, TEXT("through")));
		must(ctdbx_next_event(client[1 - i], LIMIT, &event));
		check(event->kind == CTDBX_EVENT_TUNNEL && event->address == id);
		ctdbx_free(event);
	}
	for (i = 0; i < 2; i++) {
		ctdbx_tunnel_close(tunnel[i]);
	}
	ctdbx_unsubscribe(subscription);
}

int main(int argc, char **argv)
{
	uint32_t leader[2];
	int i, tries;

	check(argc == 3);
	for (i = 0; i < 2; i++) {
		/* they may not listen yet */
		must(ctdbx_connect(argv[1 + i], CTDBX_RECONNECT, LIMIT, &client[i]));
	}
	for (tries = 0; !(together(0) && together(1)); tries++) {
		check(tries < 600);
		usleep(100000);
	}
	for (i = 0; i < 2; i++) {
		must(ctdbx_leader(client[i], LIMIT, &leader[i]));
	}
	check(leader[0] == leader[1]);
	records();
	transactions();
	events();
	for (i = 0; i < 2; i++) {
		ctdbx_detach(db[i]);
		ctdbx_detach(persistent[i]);
		ctdbx_disconnect(client[i]);
	}
	puts("done");
	return 0;
}
