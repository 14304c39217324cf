/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Controls in their asynchronous form, all of them under way at once: asynchronous SOCKET [c]. The second word says
 * that the daemon is C's. */
#include "check.h"

#define HEARD 0xBE00000000000002

static bool is_of_c;
static int answered;

static void answer(struct ctdb_request *req)
{
	ctdb_request_free(req);
	answered++;
}

static void recmode_cb(struct ctdb_connection *ctdb, struct ctdb_request *req, uint32_t *mode)
{
	CHECK(ctdb_getrecmode_recv(ctdb, req, mode) && *mode == 0);
	answer(req);
}

static void capabilities_cb(struct ctdb_connection *ctdb, struct ctdb_request *req, void *unused)
{
	uint32_t capabilities = 0;

	(void)unused;
	CHECK(ctdb_getcapabilities_recv(ctdb, req, &capabilities));
	CHECK((capabilities & (CTDB_CAP_RECMASTER | CTDB_CAP_LMASTER)) == 3);
	answer(req);
}

static void publicips_cb(struct ctdb_connection *ctdb, struct ctdb_request *req, void *unused)
{
	struct ctdb_all_public_ips *ips;

	(void)unused;
	CHECK(ctdb_getpublicips_recv(ctdb, req, &ips) && ips->num == 0);
	ctdb_free_publicips(ips);
	answer(req);
}

static void ifaces_cb(struct ctdb_connection *ctdb, struct ctdb_request *req, void *unused)
{
	struct ctdb_ifaces_list *ifaces;

	(void)unused;
	CHECK(ctdb_getifaces_recv(ctdb, req, &ifaces) && ifaces->num == 0);
	ctdb_free_ifaces(ifaces);
	answer(req);
}

static void vnnmap_cb(struct ctdb_connection *ctdb, struct ctdb_request *req, void *unused)
{
	struct ctdb_vnn_map *vnnmap;

	(void)unused;
	CHECK(ctdb_getvnnmap_recv(ctdb, req, &vnnmap));
	CHECK(vnnmap->size == 1 && vnnmap->map[0] == 0 && vnnmap->generation > 1);
	ctdb_free_vnnmap(vnnmap);
	answer(req);
}

static void seqnum_cb(struct ctdb_connection *ctdb, struct ctdb_request *req, uint64_t *seqnum)
{
	CHECK(ctdb_getdbseqnum_recv(ctdb, req, seqnum) && *seqnum == 0);
	answer(req);
}

static void dbstat_cb(struct ctdb_connection *ctdb, struct ctdb_request *req, void *unused)
{
	struct ctdb_db_statistics *stat;

	(void)unused;
	CHECK(ctdb_getdbstat_recv(ctdb, req, &stat) && stat->num_hot_keys <= 10);
	ctdb_free_dbstat(stat);
	answer(req);
}

static void handlers_cb(struct ctdb_connection *ctdb, struct ctdb_request *req, uint8_t registered[2])
{
	errno = 0;
	if (ctdb_check_message_handlers_recv(ctdb, req, 2, registered))
		CHECK(!is_of_c && registered[0] == 0 && registered[1] == 1);
	else
		CHECK(is_of_c && errno == EOPNOTSUPP);
	answer(req);
}

static void refused_cb(struct ctdb_connection *ctdb, struct ctdb_request *req, void *unused)
{
	struct ctdb_db_statistics *stat = (struct ctdb_db_statistics *)1;

	(void)unused;
	errno = 0;
	CHECK(!ctdb_getdbstat_recv(ctdb, req, &stat) && stat == NULL && errno == EREMOTEIO);
	answer(req);
}

static void unheard(struct ctdb_connection *ctdb, uint64_t srvid, TDB_DATA data, void *unused)
{
	(void)ctdb;
	(void)srvid;
	(void)data;
	(void)unused;
	CHECK(!"nobody sends this");
}

int main(int argc, char **argv)
{
	struct ctdb_connection *ctdb = connect_to(argc, argv);
	uint64_t srvids[2] = { 1, HEARD };
	uint8_t registered[2];
	TDB_DATA name = { (unsigned char *)"asynchronous.tdb", sizeof("asynchronous.tdb") };
	uint32_t id = tdb_jenkins_hash(&name);
	struct ctdb_db *db;
	uint64_t seqnum;
	uint32_t mode;

	is_of_c = argc > 2;
	db = ctdb_attachdb(ctdb, "asynchronous.tdb", false, 0);
	CHECK(db != NULL);
	CHECK(ctdb_set_message_handler(ctdb, HEARD, unheard, NULL));
	CHECK(ctdb_getrecmode_send(ctdb, 0, recmode_cb, &mode) != NULL);
	CHECK(ctdb_getcapabilities_send(ctdb, 0, capabilities_cb, NULL) != NULL);
	CHECK(ctdb_getpublicips_send(ctdb, 0, publicips_cb, NULL) != NULL);
	CHECK(ctdb_getifaces_send(ctdb, 0, ifaces_cb, NULL) != NULL);
	CHECK(ctdb_getvnnmap_send(ctdb, 0, vnnmap_cb, NULL) != NULL);
	CHECK(ctdb_getdbseqnum_send(ctdb, 0, id, seqnum_cb, &seqnum) != NULL);
	CHECK(ctdb_getdbstat_send(ctdb, 0, id, dbstat_cb, NULL) != NULL);
	CHECK(ctdb_getdbstat_send(ctdb, 0, 0x12345678, refused_cb, NULL) != NULL);
	CHECK(ctdb_check_message_handlers_send(ctdb, 0, 2, srvids, handlers_cb, registered) != NULL);
	CHECK(ctdb_num_active(ctdb) == 9);
	SERVE_UNTIL(ctdb, answered == 9);
	CHECK(ctdb_num_active(ctdb) == 0);
	ctdb_detachdb(ctdb, db);
	ctdb_disconnect(ctdb);
	printf("done\n");
	return 0;
}
