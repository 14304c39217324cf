/* Every function of ctdbx.h against one daemon: wide_all SOCKET */

#include "wide.h"
#include <errno.h>
#include <poll.h>
#include <unistd.h>

static void cluster(struct ctdbx_client *client)
{
	struct ctdbx_node_list *nodes;
	struct ctdbx_vnn_map *map;
	struct ctdbx_public_ip_list *ips;
	struct ctdbx_interface_list *interfaces;
	struct ctdbx_uptime_info uptime;
	uint32_t pnn, clients, leader, capabilities, value, before;
	int mode, state, pid;
	char *text;
	bool exists;

	must(ctdbx_pnn(client, LIMIT, &pnn));
	check(pnn == 0);
	must(ctdbx_ping(client, CTDBX_THIS_NODE, LIMIT, &clients));
	check(clients > 0);
	must(ctdbx_nodes(client, pnn, LIMIT, &nodes));
	check(nodes->count == 1 && nodes->items[0].pnn == 0);
	check(strncmp(nodes->items[0].address, "127.", 4) == 0);
	check((nodes->items[0].flags & CTDBX_NODE_DISCONNECTED) == 0);
	ctdbx_free(nodes);
	must(ctdbx_leader(client, LIMIT, &leader));
	check(leader == pnn);
	must(ctdbx_lmasters(client, CTDBX_THIS_NODE, LIMIT, &map));
	check(map->generation > 1 && map->count == 1 && map->lmasters[0] == 0);
	ctdbx_free(map);
	must(ctdbx_recovery_mode(client, pnn, LIMIT, &mode));
	check(mode == 0);
	must(ctdbx_run_state(client, pnn, LIMIT, &state));
	check(state == CTDBX_STATE_RUNNING);
	must(ctdbx_capabilities(client, pnn, LIMIT, &capabilities));
	check((capabilities & CTDBX_CAN_LEAD) && (capabilities & CTDBX_CAN_BE_LMASTER));
	must(ctdbx_daemon_pid(client, pnn, LIMIT, &pid));
	check(pid > 0);
	must(ctdbx_uptime(client, pnn, LIMIT, &uptime));
	check(uptime.now >= uptime.started && uptime.started > 0);
	must(ctdbx_public_ips(client, pnn, true, LIMIT, &ips));
	check(ips->count == 0);
	ctdbx_free(ips);
	must(ctdbx_interfaces(client, pnn, LIMIT, &interfaces));
	check(interfaces->count == 0);
	ctdbx_free(interfaces);
	must(ctdbx_tunables(client, pnn, LIMIT, &text));
	check(strstr(text, "ControlTimeout\n") != NULL);
	ctdbx_free(text);
	must(ctdbx_get_tunable(client, pnn, "TraverseTimeout", LIMIT, &before));
	must(ctdbx_set_tunable(client, pnn, "TraverseTimeout", 17, LIMIT));
	must(ctdbx_get_tunable(client, pnn, "TraverseTimeout", LIMIT, &value));
	check(value == 17);
	must(ctdbx_set_tunable(client, pnn, "TraverseTimeout", before, LIMIT));
	expect(CTDBX_REFUSED, ctdbx_get_tunable(client, pnn, "NoSuch", LIMIT, &value));
	check(ctdbx_error_status() < 0 && strlen(ctdbx_error_text()) > 0);
	must(ctdbx_process_exists(client, pnn, getpid(), LIMIT, &exists));
	check(exists);
	must(ctdbx_statistics(client, pnn, LIMIT, &text));
	check(text[0] == '{' && strstr(text, "\"num_clients\":") != NULL);
	ctdbx_free(text);
}

static void controls(struct ctdbx_client *client)
{
	struct ctdbx_reply *reply;
	char echo[8] = { 0, 0, 0, 0, 0, 0, 0, 0 };

	/* GET_PNN answers with the status */
	must(ctdbx_control(client, CTDBX_THIS_NODE, 35, 0, 0, NULL, 0, LIMIT, &reply));
	check(reply->status == 0 && reply->size == 0 && reply->error[0] == 0);
	ctdbx_free(reply);
	/* ECHO_DATA: a time-out and a length, both 0 */
	must(ctdbx_control(client, CTDBX_THIS_NODE, 156, 0, 0, echo, sizeof(echo), LIMIT, &reply));
	check(reply->status == 0 && reply->size == sizeof(echo));
	check(memcmp(reply->data, echo, sizeof(echo)) == 0);
	ctdbx_free(reply);
	/* one that does not exist, and one that was retired */
	must(ctdbx_control(client, CTDBX_THIS_NODE, 9999, 0, 0, NULL, 0, LIMIT, &reply));
	check(reply->status < 0);
	ctdbx_free(reply);
	must(ctdbx_control_send(client, CTDBX_THIS_NODE, 27, 0, 0, NULL, 0));
	expect(CTDBX_INVALID, ctdbx_control(client, CTDBX_ALL_NODES, 35, 0, 0, NULL, 0, LIMIT, &reply));
	expect(CTDBX_INVALID, ctdbx_command(client, CTDBX_THIS_NODE, 77, LIMIT));
	must(ctdbx_command(client, CTDBX_THIS_NODE, CTDBX_COMMAND_ENABLE, LIMIT));
	must(ctdbx_ban(client, CTDBX_THIS_NODE, 0, LIMIT));
}

static void volatile_records(struct ctdbx_client *client)
{
	struct ctdbx_db *db, *again;
	struct ctdbx_record *one, *two, *late;
	struct ctdbx_database_list *all;
	struct ctdbx_traverse *traverse;
	struct ctdbx_view key, value;
	struct ctdbx_blob blob;
	uint64_t number;
	size_t i;
	int found = 0;
	char *text;

	must(ctdbx_attach(client, "wide.tdb", CTDBX_VOLATILE, LIMIT, &db));
	must(ctdbx_attach(client, "wide.tdb", CTDBX_VOLATILE, LIMIT, &again));
	forget(db, "one");
	forget(db, "two");
	forget(db, "three");
	check(strcmp(ctdbx_db_name(db), "wide.tdb") == 0);
	check(strstr(ctdbx_db_path(db), "wide.tdb") != NULL);
	must(ctdbx_databases(client, CTDBX_THIS_NODE, LIMIT, &all));
	for (i = 0; i < all->count; i++) {
		found += all->items[i].id == ctdbx_db_id(db) && all->items[i].flags == 0;
	}
	check(found == 1);
	ctdbx_free(all);
	must(ctdbx_database_name(client, CTDBX_THIS_NODE, ctdbx_db_id(db), LIMIT, &text));
	check(strcmp(text, "wide.tdb") == 0);
	ctdbx_free(text);
	must(ctdbx_database_path(client, CTDBX_THIS_NODE, ctdbx_db_id(db), LIMIT, &text));
	check(strcmp(text, ctdbx_db_path(db)) == 0);
	ctdbx_free(text);
	must(ctdbx_database_health(client, CTDBX_THIS_NODE, ctdbx_db_id(db), LIMIT, &text));
	check(text == NULL);
	must(ctdbx_database_statistics(client, CTDBX_THIS_NODE, ctdbx_db_id(db), LIMIT, &text));
	check(text[0] == '{');
	ctdbx_free(text);
	must(ctdbx_sequence_number(db, LIMIT, &number));
	check(number == 0);

	/* two locks at a time; a third one waits for the first, and no longer than it may */
	must(ctdbx_lock(db, TEXT("one"), LIMIT, &one));
	must(ctdbx_lock(db, TEXT("two"), LIMIT, &two));
	expect(CTDBX_TIMED_OUT, ctdbx_lock(again, TEXT("one"), 50, &late));
	must(ctdbx_value(one, &value));
	check(value.size == 0);
	must(ctdbx_store_locked(one, TEXT("first")));
	must(ctdbx_value(one, &value));
	check(seen(value, "first"));
	must(ctdbx_store_locked(two, TEXT("second")));
	ctdbx_unlock(two);
	ctdbx_unlock(one);
	must(ctdbx_lock(again, TEXT("one"), LIMIT, &late));
	must(ctdbx_value(late, &value));
	check(seen(value, "first"));
	(void)ctdbx_rsn(late);
	ctdbx_unlock(late);
	must(ctdbx_read(db, TEXT("two"), LIMIT, &blob));
	check(equal(blob, "second"));
	must(ctdbx_read_copy(db, TEXT("two"), LIMIT, &blob));
	check(equal(blob, "second"));
	must(ctdbx_store(db, TEXT("three"), TEXT("third"), LIMIT));
	must(ctdbx_store(db, TEXT("two"), NULL, 0, LIMIT));
	must(ctdbx_read(db, TEXT("two"), LIMIT, &blob));
	check(equal(blob, ""));

	must(ctdbx_traverse_begin(db, LIMIT, &traverse));
	for (found = 0; found < 2; found++) {
		must(ctdbx_traverse_next(traverse, LIMIT, &key, &value));
		check((seen(key, "one") && seen(value, "first")) ||
		      (seen(key, "three") && seen(value, "third")));
	}
	expect(CTDBX_END, ctdbx_traverse_next(traverse, LIMIT, &key, &value));
	expect(CTDBX_END, ctdbx_traverse_next(traverse, LIMIT, &key, &value));
	ctdbx_traverse_end(traverse);
	/* one that is given up at once */
	must(ctdbx_traverse_begin(db, LIMIT, &traverse));
	ctdbx_traverse_end(traverse);
	ctdbx_detach(again);
	ctdbx_detach(db);
}

static void lent_copies(struct ctdbx_client *client)
{
	struct ctdbx_db *db;
	struct ctdbx_blob blob;

	must(ctdbx_attach(client, "wide_ro.tdb", CTDBX_READONLY | CTDBX_STICKY, LIMIT, &db));
	must(ctdbx_store(db, TEXT("key"), TEXT("value"), LIMIT));
	must(ctdbx_read_copy(db, TEXT("key"), LIMIT, &blob));
	check(equal(blob, "value"));
	ctdbx_detach(db);
}

static void transactions(struct ctdbx_client *client, const char *name, uint32_t kind)
{
	struct ctdbx_db *db;
	struct ctdbx_transaction *transaction;
	struct ctdbx_record *record;
	struct ctdbx_blob blob;
	uint64_t before, after, same;

	must(ctdbx_attach(client, name, kind, LIMIT, &db));
	forget_in_transaction(db, "key");
	must(ctdbx_sequence_number(db, LIMIT, &before));
	must(ctdbx_begin(db, CTDBX_WRITE, LIMIT, &transaction));
	must(ctdbx_transaction_store(transaction, TEXT("key"), TEXT("value")));
	must(ctdbx_transaction_store(transaction, TEXT("gone"), TEXT("soon")));
	must(ctdbx_transaction_store(transaction, TEXT("gone"), NULL, 0));
	must(ctdbx_transaction_fetch(transaction, TEXT("key"), LIMIT, &blob));
	check(equal(blob, "value"));
	must(ctdbx_read(db, TEXT("key"), LIMIT, &blob));
	check(equal(blob, ""));
	must(ctdbx_commit(transaction, LIMIT));
	must(ctdbx_read(db, TEXT("key"), LIMIT, &blob));
	check(equal(blob, "value"));
	must(ctdbx_sequence_number(db, LIMIT, &after));
	check(after == before + 1);
	must(ctdbx_database_sequence_number(client, CTDBX_THIS_NODE, ctdbx_db_id(db), LIMIT, &same));
	check(same == after);
	must(ctdbx_begin(db, CTDBX_READ, LIMIT, &transaction));
	expect(CTDBX_WRONG_KIND, ctdbx_transaction_store(transaction, TEXT("key"), TEXT("x")));
	ctdbx_cancel(transaction);
	must(ctdbx_begin(db, CTDBX_WRITE, LIMIT, &transaction));
	must(ctdbx_transaction_store(transaction, TEXT("key"), TEXT("never")));
	ctdbx_cancel(transaction);
	must(ctdbx_read(db, TEXT("key"), LIMIT, &blob));
	check(equal(blob, "value"));
	expect(CTDBX_WRONG_KIND, ctdbx_lock(db, TEXT("key"), LIMIT, &record));
	ctdbx_detach(db);
}

static void locks(struct ctdbx_client *client)
{
	struct ctdbx_global_lock *one, *two;

	must(ctdbx_g_lock(client, "lock", 5, CTDBX_READ, LIMIT, &one));
	must(ctdbx_g_lock(client, "lock", 5, CTDBX_READ, LIMIT, &two));
	must(ctdbx_g_unlock(two, LIMIT));
	expect(CTDBX_TIMED_OUT, ctdbx_g_lock(client, "lock", 5, CTDBX_WRITE, 100, &two));
	must(ctdbx_g_unlock(one, LIMIT));
	must(ctdbx_g_lock(client, "lock", 5, CTDBX_WRITE, LIMIT, &two));
	must(ctdbx_g_unlock(two, LIMIT));
}

/* The next event, found by poll() as a program with a loop of its own does. */
static struct ctdbx_event *next(struct ctdbx_client *client)
{
	struct pollfd poller = { .fd = ctdbx_fd(client), .events = POLLIN };
	struct ctdbx_event *event;
	int ready;

	do
		ready = poll(&poller, 1, LIMIT);
	while (ready < 0 && errno == EINTR);
	check(ready == 1);
	must(ctdbx_next_event(client, 0, &event));
	return event;
}

static void no_event(struct ctdbx_client *client)
{
	struct pollfd poller = { .fd = ctdbx_fd(client), .events = POLLIN };
	struct ctdbx_event *event;

	expect(CTDBX_TIMED_OUT, ctdbx_next_event(client, 50, &event));
	check(poll(&poller, 1, 0) <= 0);
}

static void messages(struct ctdbx_client *client, const char *socket)
{
	uint64_t here = ctdbx_private_address();
	struct ctdbx_subscription *subscription, *second;
	struct ctdbx_client *other;
	struct ctdbx_event *event;
	int cookie, another;

	check(here != ctdbx_private_address());
	must(ctdbx_subscribe(client, here, &cookie, LIMIT, &subscription));
	must(ctdbx_send(client, CTDBX_THIS_NODE, here, TEXT("hello")));
	event = next(client);
	check(event->kind == CTDBX_EVENT_MESSAGE && event->cookie == &cookie);
	check(event->address == here && event->node == 0 && event->lost == 0);
	check(event->size == 5 && strcmp((const char *)event->data, "hello") == 0);
	ctdbx_free(event);
	no_event(client);
	/* each of two subscriptions gets it; one that has ended leaves nothing */
	must(ctdbx_subscribe(client, here, &another, LIMIT, &second));
	must(ctdbx_send(client, CTDBX_ALL_NODES, here, NULL, 0));
	must(ctdbx_flush(client, LIMIT));
	ctdbx_unsubscribe(second);
	event = next(client);
	check(event->cookie == &cookie && event->size == 0);
	ctdbx_free(event);
	no_event(client);
	/* a message about the end of another connection */
	must(ctdbx_connect(socket, 0, LIMIT, &other));
	must(ctdbx_notify(other, here, TEXT("gone"), LIMIT));
	must(ctdbx_notify(other, here + 1, TEXT("x"), LIMIT));
	must(ctdbx_notify_end(other, here + 1, LIMIT));
	ctdbx_disconnect(other);
	event = next(client);
	check(strcmp((const char *)event->data, "gone") == 0);
	ctdbx_free(event);
	ctdbx_unsubscribe(subscription);
}

static void tunnels(struct ctdbx_client *client)
{
	const uint64_t id = 0xFFFFFFFF00001234;
	struct ctdbx_tunnel *tunnel, *twice;
	struct ctdbx_event *event;
	int cookie;

	must(ctdbx_tunnel_open(client, id, &cookie, LIMIT, &tunnel));
	expect(CTDBX_IN_USE, ctdbx_tunnel_open(client, id, NULL, LIMIT, &twice));
	must(ctdbx_tunnel_send(tunnel, 0, TEXT("through")));
	event = next(client);
	check(event->kind == CTDBX_EVENT_TUNNEL && event->address == id);
	check(event->cookie == &cookie && strcmp((const char *)event->data, "through") == 0);
	ctdbx_free(event);
	ctdbx_tunnel_close(tunnel);
	must(ctdbx_tunnel_open(client, id, NULL, LIMIT, &tunnel));
	ctdbx_tunnel_close(tunnel);
}

static void nonsense(const char *socket)
{
	struct ctdbx_client *client;
	struct ctdbx_db *db;
	uint32_t pnn;
	int code;

	check(ctdbx_version() >= CTDBX_VERSION);
	for (code = -1; code < 30; code++) {
		check(ctdbx_strerror(code)[0] != 0);
	}
	expect(CTDBX_CONNECT, ctdbx_connect("/nonexistent/socket", 0, LIMIT, &client));
	check(strstr(ctdbx_error_text(), "/nonexistent/socket") != NULL);
	expect(CTDBX_INVALID, ctdbx_connect(socket, 0x80, LIMIT, &client));
	expect(CTDBX_INVALID, ctdbx_connect(socket, 0, LIMIT, NULL));
	expect(CTDBX_INVALID, ctdbx_pnn(NULL, LIMIT, &pnn));
	expect(CTDBX_INVALID, ctdbx_commit(NULL, LIMIT));
	expect(CTDBX_INVALID, ctdbx_g_unlock(NULL, LIMIT));
	check(ctdbx_fd(NULL) == -1);
	check(ctdbx_db_name(NULL) == NULL && ctdbx_db_path(NULL) == NULL);
	check(ctdbx_db_id(NULL) == 0 && ctdbx_rsn(NULL) == 0);
	ctdbx_free(NULL);
	ctdbx_disconnect(NULL);
	ctdbx_detach(NULL);
	ctdbx_unlock(NULL);
	ctdbx_cancel(NULL);
	ctdbx_traverse_end(NULL);
	ctdbx_unsubscribe(NULL);
	ctdbx_tunnel_close(NULL);
	must(ctdbx_connect(socket, 0, LIMIT, &client));
	expect(CTDBX_INVALID, ctdbx_attach(client, NULL, 0, LIMIT, &db));
	expect(CTDBX_INVALID, ctdbx_attach(client, "\xff", 0, LIMIT, &db));
	expect(CTDBX_INVALID,
	       ctdbx_attach(client, "x", CTDBX_PERSISTENT | CTDBX_REPLICATED, LIMIT, &db));
	expect(CTDBX_INVALID, ctdbx_send(client, 0, 1, NULL, 1));
	/* handles outlive their connection, and are of no use then */
	must(ctdbx_attach(client, "wide.tdb", CTDBX_VOLATILE, LIMIT, &db));
	ctdbx_disconnect(client);
	expect(CTDBX_DISCONNECTED, ctdbx_store(db, TEXT("k"), TEXT("v"), LIMIT));
	ctdbx_detach(db);
}

int main(int argc, char **argv)
{
	struct ctdbx_client *client;

	check(argc == 2);
	nonsense(argv[1]);
	must(ctdbx_connect(argv[1], 0, LIMIT, &client));
	cluster(client);
	controls(client);
	volatile_records(client);
	lent_copies(client);
	transactions(client, "wide_persistent.tdb", CTDBX_PERSISTENT);
	transactions(client, "wide_replicated.tdb", CTDBX_REPLICATED);
	locks(client);
	messages(client, argv[1]);
	tunnels(client);
	ctdbx_disconnect(client);
	puts("done");
	return 0;
}
