/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What Samba 3.6 to 4.1 needs besides ctdb_client.h; the daemon's own structures are nobody else's. */
#ifndef _CTDB_PRIVATE_H
#define _CTDB_PRIVATE_H

#include <ctdb_client.h>

/* Records one behind the other, each a struct ctdb_rec_data: TRANS3_COMMIT and others. */
struct ctdb_marshall_buffer {
	uint32_t db_id;
	uint32_t count;
	uint8_t data[1];
};

/* SCHEDULE_FOR_DELETION. */
struct ctdb_control_schedule_for_deletion {
	uint32_t db_id;
	struct ctdb_ltdb_header hdr;
	uint32_t keylen;
	uint8_t key[1];
};

/* Any lmaster, in controls that choose records by it. */
#define CTDB_LMASTER_ANY 0xffffffff

/* GET_PUBLIC_IPS: only addresses that can be hosted now. */
#define CTDB_PUBLIC_IP_FLAGS_ONLY_AVAILABLE 0x00010000

#endif /* _CTDB_PRIVATE_H */
