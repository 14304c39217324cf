/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Every control, both ways: controls SOCKET [c]. The second word says that the daemon is C's. */
#include <arpa/inet.h>
#include "check.h"

static int order[16];
static int answered;
static bool is_of_c;

struct expected {
	int number;
	uint32_t value;
};

static void pnn_cb(struct ctdb_connection *ctdb, struct ctdb_request *req, struct expected *expected)
{
	uint32_t pnn = 99;
	uint32_t mode;

	/* of another kind, and of the right one, twice */
	errno = 0;
	CHECK(!ctdb_getrecmode_recv(ctdb, req, &mode) && errno == EINVAL);
	CHECK(ctdb_getpnn_recv(ctdb, req, &pnn) && pnn == expected->value);
	CHECK(ctdb_getpnn_recv(ctdb, req, &pnn));
	ctdb_request_free(req);
	order[answered++] = expected->number;
}

static void in_order(struct ctdb_connection *ctdb)
{
	struct expected expected[4];
	int i;

	CHECK(ctdb_num_active(ctdb) == 0);
	for (i = 0; i < 4; i++) {
		expected[i].number = i;
		expected[i].value = 0;
		CHECK(ctdb_getpnn_send(ctdb, CTDB_CURRENT_NODE, pnn_cb, &expected[i]) != NULL);
	}
	CHECK(ctdb_num_active(ctdb) == 4 && ctdb_num_out_queue(ctdb) == 4);
	CHECK(ctdb_num_in_flight(ctdb) == 0);
	CHECK(ctdb_which_events(ctdb) == (POLLIN | POLLOUT));
	while (ctdb_num_out_queue(ctdb) > 0)
		CHECK(ctdb_service(ctdb, POLLOUT));
	CHECK(ctdb_num_in_flight(ctdb) == 4 && ctdb_num_out_queue(ctdb) == 0);
	CHECK(ctdb_which_events(ctdb) == POLLIN);
	SERVE_UNTIL(ctdb, answered == 4);
	for (i = 0; i < 4; i++)
		CHECK(order[i] == i);
	CHECK(ctdb_num_active(ctdb) == 0);
}

static void never(struct ctdb_connection *ctdb, struct ctdb_request *req, void *unused)
{
	(void)ctdb;
	(void)req;
	(void)unused;
	CHECK(!"called back though cancelled");
}

static void cancelled(struct ctdb_connection *ctdb)
{
	struct ctdb_request *req;
	uint32_t pnn;

	req = ctdb_getpnn_send(ctdb, 0, never, NULL);
	ctdb_cancel(ctdb, req);
	CHECK(ctdb_num_active(ctdb) == 1);
	/* freed too early: the same, and logged */
	req = ctdb_getnodemap_send(ctdb, 0, never, NULL);
	ctdb_request_free(req);
	CHECK(ctdb_getpnn(ctdb, 0, &pnn) && pnn == 0);
	CHECK(ctdb_num_active(ctdb) == 0);
}

static void node_cb(struct ctdb_connection *ctdb, struct ctdb_request *req, int *called)
{
	struct ctdb_node_map *nodemap;
	uint32_t pnn;

	CHECK(ctdb_getnodemap_recv(ctdb, req, &nodemap));
	CHECK(nodemap->num == 1 && nodemap->nodes[0].pnn == 0);
	CHECK(nodemap->nodes[0].addr.sa.sa_family == AF_INET);
	CHECK((ntohl(nodemap->nodes[0].addr.ip.sin_addr.s_addr) >> 24) == 127);
	ctdb_free_nodemap(nodemap);
	/* a synchronous call inside a callback */
	CHECK(ctdb_getpnn(ctdb, CTDB_CURRENT_NODE, &pnn) && pnn == 0);
	ctdb_request_free(req);
	*called += 1;
}

static void maps(struct ctdb_connection *ctdb)
{
	struct ctdb_all_public_ips *ips;
	struct ctdb_ifaces_list *ifaces;
	struct ctdb_vnn_map *vnnmap;
	int called = 0;

	CHECK(ctdb_getnodemap_send(ctdb, 0, node_cb, &called) != NULL);
	CHECK(ctdb_getnodemap_send(ctdb, CTDB_CURRENT_NODE, node_cb, &called) != NULL);
	SERVE_UNTIL(ctdb, called == 2);
	CHECK(ctdb_getpublicips(ctdb, CTDB_CURRENT_NODE, &ips) && ips->num == 0);
	ctdb_free_publicips(ips);
	CHECK(ctdb_getifaces(ctdb, CTDB_CURRENT_NODE, &ifaces) && ifaces->num == 0);
	ctdb_free_ifaces(ifaces);
	CHECK(ctdb_getvnnmap(ctdb, CTDB_CURRENT_NODE, &vnnmap));
	CHECK(vnnmap->size == 1 && vnnmap->map[0] == 0 && vnnmap->generation > 1);
	ctdb_free_vnnmap(vnnmap);
	ctdb_free_nodemap(NULL);
	ctdb_free_publicips(NULL);
	ctdb_free_ifaces(NULL);
	ctdb_free_vnnmap(NULL);
	ctdb_free_dbstat(NULL);
	ctdb_request_free(NULL);
}

static void unheard(struct ctdb_connection *ctdb, uint64_t srvid, TDB_DATA data, void *unused)
{
	(void)ctdb;
	(void)srvid;
	(void)data;
	(void)unused;
	CHECK(!"nobody sends this");
}

static void numbers(struct ctdb_connection *ctdb)
{
	uint32_t value = 99;
	uint64_t srvids[3] = { 1, 2, 3 };
	uint8_t registered[3];

	CHECK(ctdb_getpnn(ctdb, CTDB_CURRENT_NODE, &value) && value == 0);
	CHECK(ctdb_getrecmode(ctdb, CTDB_CURRENT_NODE, &value) && value == 0);
	CHECK(ctdb_getcapabilities(ctdb, CTDB_CURRENT_NODE, &value));
	CHECK((value & (CTDB_CAP_RECMASTER | CTDB_CAP_LMASTER)) == 3);
	value = 99;
	CHECK(ctdb_getrecmaster(ctdb, CTDB_CURRENT_NODE, &value) && value == 0);
	/* only C's daemon cannot say this any more */
	srvids[1] = 0xBE00000000000001;
	CHECK(ctdb_set_message_handler(ctdb, srvids[1], unheard, NULL));
	errno = 0;
	if (ctdb_check_message_handlers(ctdb, CTDB_CURRENT_NODE, 3, srvids, registered))
		CHECK(!is_of_c && registered[0] == 0 && registered[1] == 1 && registered[2] == 0);
	else
		CHECK(errno == EOPNOTSUPP && is_of_c);
	errno = 0;
	CHECK(!ctdb_check_message_handlers(ctdb, 77, 3, srvids, registered) && errno == EREMOTEIO);
	CHECK(ctdb_remove_message_handler(ctdb, srvids[1], unheard, NULL));
}

static void leader_cb(struct ctdb_connection *ctdb, struct ctdb_request *req, int *called)
{
	uint32_t leader = 99;

	CHECK(ctdb_getrecmaster_recv(ctdb, req, &leader) && leader == 0);
	ctdb_request_free(req);
	*called += 1;
}

static void leader(struct ctdb_connection *ctdb)
{
	int called = 0;

	CHECK(ctdb_getrecmaster_send(ctdb, 0, leader_cb, &called) != NULL);
	CHECK(ctdb_getrecmaster_send(ctdb, 0, leader_cb, &called) != NULL);
	SERVE_UNTIL(ctdb, called == 2);
	/* DEREGISTER_SRVID goes out by itself */
	SERVE_UNTIL(ctdb, ctdb_num_active(ctdb) == 0);
}

static void refused(struct ctdb_connection *ctdb)
{
	struct ctdb_db_statistics *stat = (struct ctdb_db_statistics *)1;
	struct ctdb_node_map *nodemap = (struct ctdb_node_map *)1;
	uint64_t seqnum;
	uint32_t pnn;

	errno = 0;
	CHECK(!ctdb_getdbstat(ctdb, CTDB_CURRENT_NODE, 0x12345678, &stat) && stat == NULL);
	CHECK(errno == EREMOTEIO);
	CHECK(!ctdb_getdbseqnum(ctdb, CTDB_CURRENT_NODE, 0x12345678, &seqnum));
	/* misuse is an error, not a crash */
	CHECK(!ctdb_getpnn(NULL, 0, &pnn) && errno == EINVAL);
	CHECK(!ctdb_getpnn(ctdb, 0, NULL) && errno == EINVAL);
	CHECK(!ctdb_getnodemap_recv(ctdb, NULL, &nodemap) && errno == EINVAL);
	CHECK(ctdb_getpnn_send(NULL, 0, never, NULL) == NULL);
}

int main(int argc, char **argv)
{
	struct ctdb_connection *ctdb;
	uint32_t pnn;

	is_of_c = argc > 2;
	errno = 0;
	CHECK(ctdb_connect("/nonexistent/socket", ctdb_log_file, stderr) == NULL && errno == ENOENT);
	ctdb = connect_to(argc, argv);
	CHECK(ctdb_num_active(ctdb) == 1 && ctdb_get_fd(ctdb) >= 0);
	CHECK(ctdb_getpnn(ctdb, CTDB_CURRENT_NODE, &pnn));
	in_order(ctdb);
	cancelled(ctdb);
	maps(ctdb);
	numbers(ctdb);
	leader(ctdb);
	refused(ctdb);
	/* what is not answered goes with the connection */
	CHECK(ctdb_getpnn_send(ctdb, 0, never, NULL) != NULL);
	CHECK(ctdb_service(ctdb, POLLOUT));
	CHECK(ctdb_getpnn_send(ctdb, 0, never, NULL) != NULL);
	ctdb_disconnect(ctdb);
	printf("done\n");
	return 0;
}
