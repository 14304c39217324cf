/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * Data of controls that Samba 3.6 to 4.1 sends with code of its own. The client of that time, which this
 * header was for, was never a library; libctdb is in ctdb.h.
 */
#ifndef _CTDB_CLIENT_H
#define _CTDB_CLIENT_H

#include <ctdb_protocol.h>

/* REGISTER_NOTIFY: the message to send when this client ends; len bytes in notify_data. */
struct ctdb_client_notify_register {
	uint64_t srvid;
	uint32_t len;
	uint8_t notify_data[1];
};

struct ctdb_client_notify_deregister {
	uint64_t srvid;
};

/* GET_DBMAP. */
#define CTDB_DB_FLAGS_PERSISTENT 0x01
#define CTDB_DB_FLAGS_READONLY   0x02
#define CTDB_DB_FLAGS_STICKY     0x04

struct ctdb_dbid {
	uint32_t dbid;
	uint8_t flags;
};

struct ctdb_dbid_map {
	uint32_t num;
	struct ctdb_dbid dbs[1];
};

/* What GET_RECMODE answers. */
#define CTDB_RECOVERY_NORMAL 0
#define CTDB_RECOVERY_ACTIVE 1

/* UPTIME. */
struct ctdb_uptime {
	struct timeval current_time;
	struct timeval ctdbd_start_time;
	struct timeval last_recovery_started;
	struct timeval last_recovery_finished;
};

/* TCP_CLIENT of IPv4 alone, long ago. */
struct ctdb_control_tcp {
	struct sockaddr_in src;
	struct sockaddr_in dest;
};

/* TCP_CLIENT, TCP_ADD. */
struct ctdb_control_tcp_addr {
	ctdb_sock_addr src;
	ctdb_sock_addr dest;
};

/* SET_BAN_STATE, GET_BAN_STATE. */
struct ctdb_ban_time {
	uint32_t pnn;
	uint32_t time;
};

/* SET_DB_PRIORITY, which daemons since 4.4 do not answer. */
struct ctdb_db_priority {
	uint32_t db_id;
	uint32_t priority;
};

#endif /* _CTDB_CLIENT_H */
