/* Both interfaces in one program: wide_both SOCKET */

#include "wide.h"
#include <ctdb.h>
#include <errno.h>

int main(int argc, char **argv)
{
	struct ctdb_connection *old;
	struct ctdbx_client *client;
	struct ctdb_db *old_db;
	struct ctdbx_db *db;
	struct ctdbx_blob blob;
	struct ctdb_lock *lock;
	TDB_DATA key = { (unsigned char *)"key", 3 }, value;

	check(argc == 2);
	old = ctdb_connect(argv[1], ctdb_log_file, stderr);
	check(old != NULL);
	must(ctdbx_connect(argv[1], 0, LIMIT, &client));
	/* whoever has the file, has it */
	old_db = ctdb_attachdb(old, "both.tdb", false, 0);
	check(old_db != NULL);
	expect(CTDBX_IN_USE, ctdbx_attach(client, "both.tdb", CTDBX_VOLATILE, LIMIT, &db));
	lock = ctdb_readrecordlock(old, old_db, key, &value);
	check(lock != NULL);
	value.dptr = (unsigned char *)"old";
	value.dsize = 3;
	check(ctdb_writerecord(old_db, lock, value));
	ctdb_release_lock(old_db, lock);
	ctdb_detachdb(old, old_db);
	must(ctdbx_attach(client, "both.tdb", CTDBX_VOLATILE, LIMIT, &db));
	must(ctdbx_read(db, TEXT("key"), LIMIT, &blob));
	check(equal(blob, "old"));
	check(ctdb_attachdb(old, "both.tdb", false, 0) == NULL);
	ctdbx_detach(db);
	old_db = ctdb_attachdb(old, "both.tdb", false, 0);
	check(old_db != NULL);
	ctdb_detachdb(old, old_db);
	ctdb_disconnect(old);
	ctdbx_disconnect(client);
	puts("done");
	return 0;
}
