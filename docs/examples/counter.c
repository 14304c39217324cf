/* Counts its own runs, on all nodes together: counter [SOCKET] */
#include <ctdbx.h>
#include <stdio.h>
#include <stdlib.h>

static void must(int result)
{
	if (result != CTDBX_OK) {
		fprintf(stderr, "%s\n", ctdbx_error_text());
		exit(1);
	}
}

int main(int argc, char **argv)
{
	struct ctdbx_client *client;
	struct ctdbx_db *db;
	struct ctdbx_record *record;
	struct ctdbx_view value;
	char text[32];
	int size;

	must(ctdbx_connect(argc > 1 ? argv[1] : NULL, 0, 5000, &client));
	must(ctdbx_attach(client, "counter.tdb", CTDBX_VOLATILE, 5000, &db));
	must(ctdbx_lock(db, "runs", 4, 5000, &record));
	must(ctdbx_value(record, &value));
	snprintf(text, sizeof(text), "%.*s", (int)value.size, (const char *)value.data);
	size = snprintf(text, sizeof(text), "%ld", strtol(text, NULL, 10) + 1);
	must(ctdbx_store_locked(record, text, size));
	ctdbx_unlock(record);
	puts(text);
	ctdbx_detach(db);
	ctdbx_disconnect(client);
	return 0;
}
