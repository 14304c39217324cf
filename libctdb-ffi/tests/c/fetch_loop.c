/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * fetch_loop SOCKET SECONDS: locks a record, writes its number plus one, releases it, as often as it goes, and says
 * how often that was. The same as upstream's program of this name does.
 */
#include <time.h>
#include "check.h"

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void locked(struct ctdb_db *db, struct ctdb_lock *lock, TDB_DATA data, uint32_t *count)
{
	uint32_t number = 0;
	TDB_DATA value = { (unsigned char *)&number, sizeof(number) };

	CHECK(lock != NULL);
	if (data.dsize == sizeof(number))
		memcpy(&number, data.dptr, sizeof(number));
	number++;
	CHECK(ctdb_writerecord(db, lock, value));
	ctdb_release_lock(db, lock);
	*count += 1;
}

int main(int argc, char **argv)
{
	struct ctdb_connection *ctdb = connect_to(argc, argv);
	struct ctdb_db *db;
	uint32_t count = 0;
	double start;
	double end;

	CHECK(argc > 2);
	db = ctdb_attachdb(ctdb, "fetch_loop.tdb", false, 0);
	CHECK(db != NULL);
	start = now();
	end = start + atof(argv[2]);
	while (now() < end) {
		uint32_t before = count;

		CHECK(ctdb_readrecordlock_async(db, text_data("testkey"), locked, &count));
		SERVE_UNTIL(ctdb, count > before);
	}
	printf("Locks:%u\n", count);
	ctdb_detachdb(ctdb, db);
	ctdb_disconnect(ctdb);
	return 0;
}
