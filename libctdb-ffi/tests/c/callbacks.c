/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Every macro of the headers, with callbacks that have a type of their own. Only compiled. */
#include <ctdb.h>

static void done(struct ctdb_connection *ctdb, struct ctdb_request *req, bool *flag)
{
	(void)ctdb;
	(void)req;
	*flag = true;
}

static void plain(struct ctdb_connection *ctdb, struct ctdb_request *req, void *unused)
{
	(void)ctdb;
	(void)req;
	(void)unused;
}

static void message(struct ctdb_connection *ctdb, uint64_t srvid, TDB_DATA data, unsigned *count)
{
	(void)ctdb;
	(void)srvid;
	(void)data;
	*count += 1;
}

static void locked(struct ctdb_db *db, struct ctdb_lock *lock, TDB_DATA data, double *number)
{
	(void)data;
	*number = 1;
	ctdb_release_lock(db, lock);
}

static int walk(struct ctdb_connection *ctdb, struct ctdb_db *db, int status, TDB_DATA key, TDB_DATA data, long *count)
{
	(void)ctdb;
	(void)db;
	(void)key;
	(void)data;
	*count += status == TRAVERSE_STATUS_RECORD;
	return 0;
}

int main(void)
{
	struct ctdb_connection *ctdb = ctdb_connect(CTDB_PATH, ctdb_log_file, stderr);
	struct ctdb_db *db = ctdb_attachdb(ctdb, "callbacks.tdb", false, 0);
	TDB_DATA key = { NULL, 0 };
	bool flag = false;
	unsigned count = 0;
	double number = 0;
	long records = 0;
	uint64_t srvid = CTDB_SRVID_TEST_RANGE;

	ctdb_log_level = 7;
	ctdb_set_message_handler(ctdb, srvid, message, &count);
	ctdb_remove_message_handler(ctdb, srvid, message, &count);
	ctdb_set_message_handler_send(ctdb, srvid, message, &count, done, &flag);
	ctdb_remove_message_handler_send(ctdb, srvid, message, &count, done, &flag);
	ctdb_attachdb_send(ctdb, "callbacks.tdb", true, 0, done, &flag);
	ctdb_readrecordlock_async(db, key, locked, &number);
	ctdb_readonlyrecordlock_async(db, key, locked, &number);
	ctdb_traverse_async(db, walk, &records);
	ctdb_getpnn_send(ctdb, CTDB_CURRENT_NODE, done, &flag);
	ctdb_getpnn_send(ctdb, CTDB_CURRENT_NODE, plain, NULL);
	ctdb_getpnn_send(ctdb, CTDB_CURRENT_NODE, plain, &flag);
	ctdb_getrecmaster_send(ctdb, CTDB_CURRENT_NODE, done, &flag);
	ctdb_getrecmode_send(ctdb, CTDB_CURRENT_NODE, done, &flag);
	ctdb_getcapabilities_send(ctdb, CTDB_CURRENT_NODE, done, &flag);
	ctdb_getnodemap_send(ctdb, CTDB_CURRENT_NODE, done, &flag);
	ctdb_getpublicips_send(ctdb, CTDB_CURRENT_NODE, done, &flag);
	ctdb_getifaces_send(ctdb, CTDB_CURRENT_NODE, done, &flag);
	ctdb_getvnnmap_send(ctdb, CTDB_CURRENT_NODE, done, &flag);
	ctdb_getdbseqnum_send(ctdb, CTDB_CURRENT_NODE, 1, done, &flag);
	ctdb_getdbstat_send(ctdb, CTDB_CURRENT_NODE, 1, done, &flag);
	ctdb_check_message_handlers_send(ctdb, CTDB_CURRENT_NODE, 1, &srvid, done, &flag);
	ctdb_detachdb(ctdb, db);
	ctdb_disconnect(ctdb);
	return 0;
}
