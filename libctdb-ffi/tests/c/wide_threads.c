/* Handles on many threads: wide_threads SOCKET */

#include "wide.h"
#include <pthread.h>
#include <signal.h>

#define THREADS 8
#define TURNS 50

static struct ctdbx_client *client;
static struct ctdbx_db *db, *persistent;
static const char *place;

static uint64_t number(const void *data, size_t size)
{
	uint64_t number = 0;

	if (size == sizeof(number)) {
		memcpy(&number, data, size);
	}
	return number;
}

/* Adds to a counter under its record's lock, every other turn by a handle that another thread frees. */
static void *count(void *unused)
{
	struct ctdbx_record *record;
	struct ctdbx_view view;
	uint64_t value;
	int turn;

	(void)unused;
	for (turn = 0; turn < TURNS; turn++) {
		must(ctdbx_lock(db, TEXT("counter"), LIMIT, &record));
		must(ctdbx_value(record, &view));
		value = number(view.data, view.size) + 1;
		must(ctdbx_store_locked(record, &value, sizeof(value)));
		ctdbx_unlock(record);
	}
	return NULL;
}

static void *transact(void *unused)
{
	struct ctdbx_transaction *transaction;
	struct ctdbx_blob blob;
	uint64_t value;
	int turn;

	(void)unused;
	for (turn = 0; turn < TURNS / 10; turn++) {
		must(ctdbx_begin(persistent, CTDBX_WRITE, LIMIT, &transaction));
		must(ctdbx_transaction_fetch(transaction, TEXT("counter"), LIMIT, &blob));
		value = number(blob.data, blob.size) + 1;
		ctdbx_free(blob.data);
		must(ctdbx_transaction_store(transaction, TEXT("counter"), &value, sizeof(value)));
		must(ctdbx_commit(transaction, LIMIT));
	}
	return NULL;
}

/* A connection of its own, again and again: the library's thread comes and goes. */
static void *connect_again(void *unused)
{
	struct ctdbx_client *mine;
	struct ctdbx_db *same;
	uint32_t pnn;
	int turn;

	(void)unused;
	for (turn = 0; turn < TURNS / 10; turn++) {
		must(ctdbx_connect(place, 0, LIMIT, &mine));
		must(ctdbx_pnn(mine, LIMIT, &pnn));
		must(ctdbx_attach(mine, "threads.tdb", CTDBX_VOLATILE, LIMIT, &same));
		must(ctdbx_store(same, TEXT("other"), TEXT("x"), LIMIT));
		ctdbx_detach(same);
		ctdbx_disconnect(mine);
	}
	return NULL;
}

static void *unlock(void *record)
{
	ctdbx_unlock(record);
	return NULL;
}

/* Waits for an event that does not come, until the connection is closed by another thread. */
static void *wait_for_event(void *unused)
{
	struct ctdbx_event *event;

	(void)unused;
	expect(CTDBX_DISCONNECTED, ctdbx_next_event(client, -1, &event));
	return NULL;
}

static void run(void *(*work)(void *), int threads)
{
	pthread_t all[THREADS];
	int i;

	for (i = 0; i < threads; i++) {
		check(pthread_create(&all[i], NULL, work, NULL) == 0);
	}
	for (i = 0; i < threads; i++) {
		check(pthread_join(all[i], NULL) == 0);
	}
}

int main(int argc, char **argv)
{
	struct ctdbx_record *record;
	struct ctdbx_blob blob;
	pthread_t other;

	check(argc == 2);
	place = argv[1];
	run(connect_again, 4);
	must(ctdbx_connect(place, 0, LIMIT, &client));
	must(ctdbx_attach(client, "threads.tdb", CTDBX_VOLATILE, LIMIT, &db));
	must(ctdbx_attach(client, "threads_p.tdb", CTDBX_PERSISTENT, LIMIT, &persistent));
	forget(db, "counter");
	forget_in_transaction(persistent, "counter");
	run(count, THREADS);
	must(ctdbx_read(db, TEXT("counter"), LIMIT, &blob));
	check(number(blob.data, blob.size) == THREADS * TURNS);
	ctdbx_free(blob.data);
	run(transact, 4);
	must(ctdbx_read(persistent, TEXT("counter"), LIMIT, &blob));
	check(number(blob.data, blob.size) == 4 * (TURNS / 10));
	ctdbx_free(blob.data);
	run(connect_again, 4);
	/* locked here, unlocked there */
	must(ctdbx_lock(db, TEXT("counter"), LIMIT, &record));
	check(pthread_create(&other, NULL, unlock, record) == 0);
	check(pthread_join(other, NULL) == 0);
	must(ctdbx_lock(db, TEXT("counter"), LIMIT, &record));
	check(pthread_create(&other, NULL, wait_for_event, NULL) == 0);
	ctdbx_flush(client, LIMIT);
	ctdbx_disconnect(client);
	check(pthread_join(other, NULL) == 0);
	expect(CTDBX_LOST, ctdbx_store_locked(record, TEXT("x")));
	ctdbx_unlock(record);
	ctdbx_detach(db);
	ctdbx_detach(persistent);
	puts("done");
	return 0;
}
