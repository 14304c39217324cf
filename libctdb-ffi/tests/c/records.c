/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Records: locked, read, written, traversed. May run several times, and more than one at a time. */
#include "check.h"

static struct ctdb_connection *ctdb;
static char prefix[32];

/* a key of this process alone */
static TDB_DATA key_of(const char *name)
{
	static char text[4][64];
	static int next;
	char *key = text[next++ % 4];

	snprintf(key, sizeof(text[0]), "%s%s", prefix, name);
	return text_data(key);
}

struct wanted {
	const char *before;
	const char *after;
	int called;
	/* keep it locked */
	struct ctdb_lock *lock;
};

static void write_cb(struct ctdb_db *db, struct ctdb_lock *lock, TDB_DATA data, struct wanted *wanted)
{
	CHECK(lock != NULL && data.dptr != NULL);
	CHECK(data_is(data, wanted->before));
	CHECK(ctdb_writerecord(db, lock, text_data(wanted->after)));
	/* what was read is as it was */
	CHECK(data_is(data, wanted->before));
	/* the same again is nothing to do */
	CHECK(ctdb_writerecord(db, lock, text_data(wanted->after)));
	ctdb_release_lock(db, lock);
	errno = 0;
	CHECK(!ctdb_writerecord(db, lock, text_data("late")) && errno == EBADF);
	ctdb_release_lock(db, lock);
	wanted->called++;
}

static void keep_cb(struct ctdb_db *db, struct ctdb_lock *lock, TDB_DATA data, struct wanted *wanted)
{
	(void)db;
	CHECK(lock != NULL && data_is(data, wanted->before));
	wanted->lock = lock;
	wanted->called++;
}

static void asynchronous(struct ctdb_db *db)
{
	struct wanted wanted = { "", "first", 0, NULL };

	/* not there: the daemon makes it */
	CHECK(ctdb_readrecordlock_async(db, key_of("a"), write_cb, &wanted));
	CHECK(wanted.called == 0);
	SERVE_UNTIL(ctdb, wanted.called == 1);
	/* here: at once */
	wanted.before = "first";
	wanted.after = "second";
	CHECK(ctdb_readrecordlock_async(db, key_of("a"), write_cb, &wanted));
	CHECK(wanted.called == 2);
	/* two at a time, neither of them here */
	wanted.before = "";
	CHECK(ctdb_readrecordlock_async(db, key_of("b"), write_cb, &wanted));
	CHECK(ctdb_readrecordlock_async(db, key_of("c"), write_cb, &wanted));
	SERVE_UNTIL(ctdb, wanted.called == 4);
}

static void one_at_a_time(struct ctdb_db *db)
{
	struct wanted wanted = { "second", "", 0, NULL };
	TDB_DATA data;

	CHECK(ctdb_readrecordlock_async(db, key_of("a"), keep_cb, &wanted) && wanted.called == 1);
	CHECK(!ctdb_readrecordlock_async(db, key_of("b"), keep_cb, &wanted));
	CHECK(!ctdb_readonlyrecordlock_async(db, key_of("b"), keep_cb, &wanted));
	CHECK(ctdb_readrecordlock(ctdb, db, key_of("b"), &data) == NULL);
	CHECK(wanted.called == 1);
	CHECK(ctdb_writerecord(db, wanted.lock, text_data("third")));
	ctdb_release_lock(db, wanted.lock);
}

static void read_only(struct ctdb_db *db)
{
	struct wanted wanted = { "third", "", 0, NULL };

	CHECK(ctdb_readonlyrecordlock_async(db, key_of("a"), keep_cb, &wanted) && wanted.called == 1);
	errno = 0;
	CHECK(!ctdb_writerecord(db, wanted.lock, text_data("no")) && errno == EBADF);
	ctdb_release_lock(db, wanted.lock);
	/* not there: it is made, and can be written */
	wanted.before = "";
	CHECK(ctdb_readonlyrecordlock_async(db, key_of("d"), keep_cb, &wanted));
	SERVE_UNTIL(ctdb, wanted.called == 2);
	CHECK(ctdb_writerecord(db, wanted.lock, text_data("by a reader")));
	ctdb_release_lock(db, wanted.lock);
}

static void synchronous(struct ctdb_db *db)
{
	struct ctdb_lock *lock;
	TDB_DATA nothing = { NULL, 0 };
	TDB_DATA data;
	int i;

	for (i = 0; i < 3; i++) {
		lock = ctdb_readrecordlock(ctdb, db, key_of("e"), &data);
		CHECK(lock != NULL && data.dsize == (size_t)i);
		CHECK(ctdb_writerecord(db, lock, text_data(&"xxx"[2 - i])));
		ctdb_release_lock(db, lock);
	}
	/* the empty key is a key */
	lock = ctdb_readrecordlock(ctdb, db, nothing, &data);
	CHECK(lock != NULL && data.dptr != NULL);
	ctdb_release_lock(db, lock);
}

static void persistent(void)
{
	struct ctdb_db *db = ctdb_attachdb(ctdb, "persistent.tdb", true, 0);
	struct ctdb_lock *lock;
	uint64_t seqnum = 99;
	char name[] = "persistent.tdb";
	TDB_DATA id = { (unsigned char *)name, sizeof(name) };
	TDB_DATA data;

	CHECK(db != NULL);
	lock = ctdb_readrecordlock(ctdb, db, key_of("a"), &data);
	CHECK(lock != NULL && data.dsize == 0 && data.dptr != NULL);
	errno = 0;
	CHECK(!ctdb_writerecord(db, lock, text_data("no")) && errno == EINVAL);
	ctdb_release_lock(db, lock);
	CHECK(ctdb_getdbseqnum(ctdb, CTDB_CURRENT_NODE, tdb_jenkins_hash(&id), &seqnum));
	CHECK(seqnum == 0);
	ctdb_detachdb(ctdb, db);
}

struct walk {
	int records;
	int ends;
	int stop_after;
};

static int walk_cb(struct ctdb_connection *connection, struct ctdb_db *db, int status, TDB_DATA key, TDB_DATA data,
		   struct walk *walk)
{
	CHECK(connection == ctdb && db != NULL && walk->ends == 0);
	if (status != TRAVERSE_STATUS_RECORD) {
		CHECK(status == TRAVERSE_STATUS_FINISHED);
		CHECK(key.dptr == NULL && data.dptr == NULL);
		walk->ends++;
		return 0;
	}
	CHECK(data.dsize > 0);
	if (key.dsize > strlen(prefix) && memcmp(key.dptr, prefix, strlen(prefix)) == 0)
		walk->records++;
	return walk->stop_after > 0 && walk->records >= walk->stop_after;
}

static void traverses(struct ctdb_db *db)
{
	struct walk all[2] = { { 0, 0, 0 }, { 0, 0, 0 } };
	struct walk some = { 0, 0, 2 };
	uint32_t pnn;

	CHECK(ctdb_traverse_async(db, walk_cb, &all[0]));
	CHECK(ctdb_traverse_async(db, walk_cb, &some));
	CHECK(ctdb_traverse_async(db, walk_cb, &all[1]));
	SERVE_UNTIL(ctdb, all[0].ends == 1 && all[1].ends == 1 && some.records >= 2);
	/* a, b, c, d, e */
	CHECK(all[0].records == 5 && all[1].records == 5);
	CHECK(some.records == 2 && some.ends == 0);
	CHECK(ctdb_getpnn(ctdb, 0, &pnn));
	SERVE_UNTIL(ctdb, ctdb_num_active(ctdb) == 0);
}

static void statistics(void)
{
	struct ctdb_db_statistics *stat;
	char name[] = "records.tdb";
	TDB_DATA id = { (unsigned char *)name, sizeof(name) };
	uint32_t i;

	CHECK(ctdb_getdbstat(ctdb, CTDB_CURRENT_NODE, tdb_jenkins_hash(&id), &stat));
	CHECK(stat->db_ro_delegations == 0 && stat->db_ro_revokes == 0);
	CHECK(stat->num_hot_keys <= MAX_HOT_KEYS);
	for (i = 0; i < stat->num_hot_keys; i++)
		CHECK(stat->hot_keys[i].key.dsize < 1000);
	ctdb_free_dbstat(stat);
}

static void opened_cb(struct ctdb_connection *connection, struct ctdb_request *req, struct ctdb_db **db)
{
	*db = ctdb_attachdb_recv(connection, req);
	CHECK(*db != NULL);
	errno = 0;
	CHECK(ctdb_attachdb_recv(connection, req) == NULL && errno == EBUSY);
	ctdb_request_free(req);
}

static void attaching(struct ctdb_db *db)
{
	struct ctdb_db *other = NULL;
	struct ctdb_lock *lock;
	TDB_DATA data;

	errno = 0;
	CHECK(ctdb_attachdb(ctdb, "records.tdb", false, 0) == NULL && errno == EBUSY);
	CHECK(ctdb_attachdb(ctdb, NULL, false, 0) == NULL && errno == EINVAL);
	CHECK(ctdb_attachdb_send(ctdb, "other.tdb", false, 0, opened_cb, &other) != NULL);
	SERVE_UNTIL(ctdb, other != NULL);
	lock = ctdb_readrecordlock(ctdb, other, key_of("f"), &data);
	CHECK(lock != NULL);
	errno = 0;
	CHECK(!ctdb_writerecord(db, lock, text_data("wrong")) && errno == EBADF);
	/* detaching releases what is locked */
	ctdb_detachdb(ctdb, other);
	lock = ctdb_readrecordlock(ctdb, db, key_of("e"), &data);
	CHECK(lock != NULL);
	ctdb_release_lock(db, lock);
	other = ctdb_attachdb(ctdb, "other.tdb", false, 0);
	CHECK(other != NULL);
	ctdb_detachdb(ctdb, other);
}

int main(int argc, char **argv)
{
	struct ctdb_db *db;

	ctdb = connect_to(argc, argv);
	snprintf(prefix, sizeof(prefix), "%ld ", (long)getpid());
	db = ctdb_attachdb(ctdb, "records.tdb", false, 0);
	CHECK(db != NULL);
	asynchronous(db);
	one_at_a_time(db);
	read_only(db);
	synchronous(db);
	traverses(db);
	statistics();
	persistent();
	attaching(db);
	ctdb_detachdb(ctdb, db);
	ctdb_disconnect(ctdb);
	printf("done\n");
	return 0;
}
