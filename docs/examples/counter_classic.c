/* The same with the old interface: counter_classic [SOCKET] */
#include <ctdb.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	struct ctdb_connection *ctdb = ctdb_connect(argc > 1 ? argv[1] : NULL, ctdb_log_file, stderr);
	struct ctdb_db *db = ctdb == NULL ? NULL : ctdb_attachdb(ctdb, "counter.tdb", false, 0);
	TDB_DATA key = { (unsigned char *)"runs", 4 };
	TDB_DATA value;
	struct ctdb_lock *lock;
	char text[24] = "";

	if (db == NULL)
		return 1;
	lock = ctdb_readrecordlock(ctdb, db, key, &value);
	if (lock == NULL)
		return 1;
	snprintf(text, sizeof(text), "%.*s", (int)value.dsize, (char *)value.dptr);
	value.dsize = (size_t)snprintf(text, sizeof(text), "%d", atoi(text) + 1);
	value.dptr = (unsigned char *)text;
	if (!ctdb_writerecord(db, lock, value))
		return 1;
	ctdb_release_lock(db, lock);
	printf("%s\n", text);
	ctdb_detachdb(ctdb, db);
	ctdb_disconnect(ctdb);
	return 0;
}
