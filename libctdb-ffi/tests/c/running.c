/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* Whether the daemon has a leader, no recovery, and itself among the lmasters. */
#include "check.h"

int main(int argc, char **argv)
{
	struct ctdb_connection *ctdb = connect_to(argc, argv);
	struct ctdb_vnn_map *vnnmap;
	struct ctdb_node_map *nodemap;
	uint32_t mode = 1;

	CHECK(ctdb_getrecmode(ctdb, CTDB_CURRENT_NODE, &mode) && mode == 0);
	CHECK(ctdb_getvnnmap(ctdb, CTDB_CURRENT_NODE, &vnnmap));
	CHECK(vnnmap->size > 0 && vnnmap->generation != INVALID_GENERATION);
	ctdb_free_vnnmap(vnnmap);
	CHECK(ctdb_getnodemap(ctdb, CTDB_CURRENT_NODE, &nodemap));
	CHECK(nodemap->num == 1 && (nodemap->nodes[0].flags & NODE_FLAGS_INACTIVE) == 0);
	ctdb_free_nodemap(nodemap);
	ctdb_disconnect(ctdb);
	return 0;
}
