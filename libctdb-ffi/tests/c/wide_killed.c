/* The daemon dies under everything, and comes back: wide_killed SOCKET
 *
 * Says "kill" on its output when the daemon is to be killed, "start" when it is to come back. */

#include "wide.h"
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

static struct ctdbx_client *plain, *lasting;
static struct ctdbx_db *db, *lasting_db;

static void say(const char *word)
{
	puts(word);
	fflush(stdout);
}

/* Waits for a lock that is not given back. */
static void *wait_for_lock(void *unused)
{
	struct ctdbx_record *record;
	int result = ctdbx_lock(db, TEXT("held"), LIMIT, &record);

	(void)unused;
	check(result == CTDBX_DISCONNECTED || result == CTDBX_LOST || result == CTDBX_TIMED_OUT);
	return NULL;
}

/* Commits until that fails. */
static void *commit(void *unused)
{
	struct ctdbx_transaction *transaction;
	struct ctdbx_db *persistent;
	int result;

	(void)unused;
	must(ctdbx_attach(plain, "killed_p.tdb", CTDBX_PERSISTENT, LIMIT, &persistent));
	for (;;) {
		result = ctdbx_begin(persistent, CTDBX_WRITE, LIMIT, &transaction);
		if (result != CTDBX_OK) {
			break;
		}
		result = ctdbx_transaction_store(transaction, TEXT("k"), &result, sizeof(result));
		if (result == CTDBX_OK) {
			result = ctdbx_transaction_store(transaction, TEXT("n"), &transaction,
							 sizeof(transaction));
		}
		if (result != CTDBX_OK) {
			ctdbx_cancel(transaction);
			break;
		}
		result = ctdbx_commit(transaction, LIMIT);
		if (result != CTDBX_OK) {
			break;
		}
	}
	check(result == CTDBX_DISCONNECTED || result == CTDBX_LOST ||
	      result == CTDBX_COMMIT_UNKNOWN);
	ctdbx_detach(persistent);
	return NULL;
}

static struct ctdbx_event *next(struct ctdbx_client *client, int kind)
{
	struct ctdbx_event *event;

	must(ctdbx_next_event(client, LIMIT, &event));
	if (event->kind != kind) {
		fprintf(stderr, "event %d, not %d\n", event->kind, kind);
		exit(1);
	}
	return event;
}

int main(int argc, char **argv)
{
	uint64_t here = ctdbx_private_address();
	const uint64_t id = 0xFFFFFFFF00004321;
	struct ctdbx_subscription *subscription;
	struct ctdbx_global_lock *global;
	struct ctdbx_traverse *traverse;
	struct ctdbx_tunnel *tunnel;
	struct ctdbx_record *record;
	struct ctdbx_event *event;
	struct ctdbx_view view;
	struct ctdbx_blob blob;
	pthread_t waiter, writer;
	uint32_t pnn;

	check(argc == 2);
	/* a write to a daemon that is gone would end the program if the library let it */
	signal(SIGPIPE, SIG_DFL);
	must(ctdbx_connect(argv[1], 0, LIMIT, &plain));
	must(ctdbx_connect(argv[1], CTDBX_RECONNECT, LIMIT, &lasting));
	must(ctdbx_attach(plain, "killed.tdb", CTDBX_VOLATILE, LIMIT, &db));
	must(ctdbx_attach(lasting, "killed.tdb", CTDBX_VOLATILE, LIMIT, &lasting_db));
	must(ctdbx_lock(db, TEXT("held"), LIMIT, &record));
	must(ctdbx_g_lock(plain, "killed", 7, CTDBX_WRITE, LIMIT, &global));
	must(ctdbx_traverse_begin(db, LIMIT, &traverse));
	must(ctdbx_subscribe(lasting, here, &pnn, LIMIT, &subscription));
	must(ctdbx_tunnel_open(lasting, id, NULL, LIMIT, &tunnel));
	must(ctdbx_notify(lasting, here + 1, TEXT("x"), LIMIT));
	check(pthread_create(&waiter, NULL, wait_for_lock, NULL) == 0);
	check(pthread_create(&writer, NULL, commit, NULL) == 0);
	usleep(200000);
	say("kill");

	ctdbx_free(next(plain, CTDBX_EVENT_DISCONNECTED));
	ctdbx_free(next(lasting, CTDBX_EVENT_DISCONNECTED));
	expect(CTDBX_DISCONNECTED, ctdbx_next_event(plain, LIMIT, &event));
	check(pthread_join(waiter, NULL) == 0);
	check(pthread_join(writer, NULL) == 0);
	expect(CTDBX_LOST, ctdbx_store_locked(record, TEXT("never")));
	ctdbx_unlock(record);
	check(ctdbx_g_unlock(global, LIMIT) != CTDBX_OK);
	while (ctdbx_traverse_next(traverse, LIMIT, &view, &view) == CTDBX_OK) {
	}
	ctdbx_traverse_end(traverse);
	expect(CTDBX_DISCONNECTED, ctdbx_ping(plain, CTDBX_THIS_NODE, LIMIT, &pnn));
	expect(CTDBX_DISCONNECTED, ctdbx_send(plain, 0, here, TEXT("x")));
	expect(CTDBX_DISCONNECTED, ctdbx_store(db, TEXT("k"), TEXT("v"), LIMIT));
	ctdbx_detach(db);
	ctdbx_disconnect(plain);
	/* no daemon yet */
	check(ctdbx_ping(lasting, CTDBX_THIS_NODE, 100, &pnn) != CTDBX_OK);
	say("start");

	ctdbx_free(next(lasting, CTDBX_EVENT_RECONNECTED));
	must(ctdbx_ping(lasting, CTDBX_THIS_NODE, LIMIT, &pnn));
	must(ctdbx_send(lasting, CTDBX_THIS_NODE, here, TEXT("again")));
	event = next(lasting, CTDBX_EVENT_MESSAGE);
	check(event->cookie == &pnn && strcmp((const char *)event->data, "again") == 0);
	ctdbx_free(event);
	must(ctdbx_tunnel_send(tunnel, 0, TEXT("through")));
	event = next(lasting, CTDBX_EVENT_TUNNEL);
	check(event->address == id);
	ctdbx_free(event);
	must(ctdbx_store(lasting_db, TEXT("key"), TEXT("value"), LIMIT));
	must(ctdbx_read(lasting_db, TEXT("key"), LIMIT, &blob));
	check(equal(blob, "value"));
	ctdbx_unsubscribe(subscription);
	ctdbx_tunnel_close(tunnel);
	ctdbx_detach(lasting_db);
	ctdbx_disconnect(lasting);
	say("done");
	return 0;
}
