/* A child cannot use what its parent has, and can have its own: wide_fork SOCKET */

#include "wide.h"
#include <sys/wait.h>
#include <unistd.h>

static int in_child(struct ctdbx_client *client, struct ctdbx_db *db, struct ctdbx_record *record,
		    const char *socket)
{
	struct ctdbx_client *own;
	struct ctdbx_event *event;
	struct ctdbx_db *another;
	uint32_t pnn;

	expect(CTDBX_FORKED, ctdbx_pnn(client, LIMIT, &pnn));
	expect(CTDBX_FORKED, ctdbx_store(db, TEXT("k"), TEXT("v"), LIMIT));
	expect(CTDBX_FORKED, ctdbx_store_locked(record, TEXT("x")));
	expect(CTDBX_FORKED, ctdbx_next_event(client, -1, &event));
	ctdbx_unlock(record);
	ctdbx_detach(db);
	ctdbx_disconnect(client);
	must(ctdbx_connect(socket, 0, LIMIT, &own));
	must(ctdbx_pnn(own, LIMIT, &pnn));
	/* one that the parent does not have open */
	must(ctdbx_attach(own, "forked.tdb", CTDBX_VOLATILE, LIMIT, &another));
	must(ctdbx_store(another, TEXT("k"), TEXT("child"), LIMIT));
	ctdbx_detach(another);
	ctdbx_disconnect(own);
	return 0;
}

int main(int argc, char **argv)
{
	struct ctdbx_client *client;
	struct ctdbx_record *record;
	struct ctdbx_blob blob;
	struct ctdbx_db *db;
	int status;
	pid_t child;

	check(argc == 2);
	must(ctdbx_connect(argv[1], 0, LIMIT, &client));
	must(ctdbx_attach(client, "parent.tdb", CTDBX_VOLATILE, LIMIT, &db));
	must(ctdbx_lock(db, TEXT("key"), LIMIT, &record));
	child = fork();
	check(child >= 0);
	if (child == 0) {
		_exit(in_child(client, db, record, argv[1]));
	}
	check(waitpid(child, &status, 0) == child);
	check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	/* the parent's lock is still its own */
	must(ctdbx_store_locked(record, TEXT("parent")));
	ctdbx_unlock(record);
	must(ctdbx_read(db, TEXT("key"), LIMIT, &blob));
	check(equal(blob, "parent"));
	ctdbx_detach(db);
	ctdbx_disconnect(client);
	puts("done");
	return 0;
}
