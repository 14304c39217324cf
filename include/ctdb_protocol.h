/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * CTDB's protocol and its structures, with the names, numbers and layouts of CTDB 2.4, which programs
 * for libctdb were compiled with. Today's daemons speak the same protocol. Where a later release gave a name
 * another meaning, that is said; names that came later are not here.
 *
 * All numbers on the wire are in the byte order of the host, and structures are padded as on 64-bit Linux.
 */
#ifndef _CTDB_PROTOCOL_H
#define _CTDB_PROTOCOL_H

#include <sys/types.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <tdb.h>

/* The daemon's socket. The library has a default of its own, the second one of these. */
#ifdef SOCKPATH
#define CTDB_PATH SOCKPATH
#else
#define CTDB_PATH "/run/ctdb/ctdbd.socket"
#endif

/* The nodes' TCP port. */
#define CTDB_PORT 4379

/* What the length of a packet between nodes is a multiple of. */
#define CTDB_DS_ALIGNMENT 8

/* Functions of calls. */
#define CTDB_NULL_FUNC              0xFF000001
#define CTDB_FETCH_FUNC             0xFF000002
#define CTDB_FETCH_WITH_HEADER_FUNC 0xFF000003

/* Flags of calls. */
#define CTDB_IMMEDIATE_MIGRATION        0x00000001
#define CTDB_CALL_FLAG_VACUUM_MIGRATION 0x00000002
#define CTDB_WANT_READONLY              0x00000004

struct ctdb_call {
	int call_id;
	TDB_DATA key;
	TDB_DATA call_data;
	TDB_DATA reply_data;
	uint32_t status;
	uint32_t flags;
};

struct ctdb_ltdb_header;

/* What a function of a call was given, in the daemon of that time. */
struct ctdb_call_info {
	TDB_DATA key;
	struct ctdb_ltdb_header *header;
	TDB_DATA record_data;
	TDB_DATA *new_data;
	TDB_DATA *call_data;
	TDB_DATA *reply_data;
	uint32_t status;
};

#define CTDB_ERR_INVALID 1
#define CTDB_ERR_NOMEM   2

#define CTDB_FLAG_TORTURE (1 << 1)

/* Addresses of messages. */
#define CTDB_SRVID_ALL                   (~(uint64_t)0)        /* every message of a node */
#define CTDB_SRVID_RECOVERY              0xF100000000000000ULL /* elections, since 2.5; records of a recovery, then */
#define CTDB_SRVID_RECONFIGURE           0xF200000000000000ULL /* the cluster was reconfigured */
#define CTDB_SRVID_RELEASE_IP            0xF300000000000000ULL /* an address was released, as text */
#define CTDB_SRVID_TAKE_IP               0xF301000000000000ULL /* an address was taken over, as text */
#define CTDB_SRVID_SET_NODE_FLAGS        0xF400000000000000ULL
#define CTDB_SRVID_RECD_UPDATE_IP        0xF500000000000000ULL
#define CTDB_SRVID_VACUUM_FETCH          0xF700000000000000ULL
#define CTDB_SRVID_MEM_DUMP              0xF800000000000000ULL
#define CTDB_SRVID_GETLOG                0xF801000000000000ULL
#define CTDB_SRVID_CLEARLOG              0xF802000000000000ULL
#define CTDB_SRVID_PUSH_NODE_FLAGS       0xF900000000000000ULL
#define CTDB_SRVID_RELOAD_NODES          0xFA00000000000000ULL
#define CTDB_SRVID_TAKEOVER_RUN          0xFB00000000000000ULL
#define CTDB_SRVID_REBALANCE_NODE        0xFB01000000000000ULL
#define CTDB_SRVID_DISABLE_TAKEOVER_RUNS 0xFB03000000000000ULL
#define CTDB_SRVID_DISABLE_IP_CHECK      0xFC00000000000000ULL
#define CTDB_SRVID_TAKEOVER_RUN_RESPONSE 0xFD00000000000000ULL
#define CTDB_SRVID_SAMBA_NOTIFY          0xFE00000000000000ULL

/* Ranges of them, by the first byte. */
#define CTDB_SRVID_PID_RANGE      0x0000000000000000ULL /* process numbers */
#define CTDB_SRVID_SAMBA_RANGE    0xFE00000000000000ULL
#define CTDB_SRVID_NFSD_RANGE     0xEE00000000000000ULL
#define CTDB_SRVID_ISCSID_RANGE   0xDE00000000000000ULL
#define CTDB_SRVID_TEST_RANGE     0xCE00000000000000ULL /* 0xAE since 4.2; 0xCE is for tools now */
#define CTDB_SRVID_TRAVERSE_RANGE 0xBE00000000000000ULL /* all client code, since 4.4 */

/* Destinations that are not one node's number. */
#define CTDB_CURRENT_NODE        0xF0000001 /* the node of the daemon that is asked */
#define CTDB_BROADCAST_ALL       0xF0000002 /* all nodes */
#define CTDB_BROADCAST_VNNMAP    0xF0000003 /* the active ones */
#define CTDB_BROADCAST_CONNECTED 0xF0000004 /* the connected ones */
#define CTDB_MULTICAST           0xF0000005

/* Keys in persistent databases. */
#define CTDB_TRANSACTION_LOCK_KEY "__transaction_lock__"
#define CTDB_DB_SEQNUM_KEY        "__db_sequence_number__"

#define MONITOR_SCRIPT_OK      0
#define MONITOR_SCRIPT_TIMEOUT 1

#define MAX_SCRIPT_NAME   31
#define MAX_SCRIPT_OUTPUT 511

/* What an event script has done. */
struct ctdb_script_wire {
	char name[MAX_SCRIPT_NAME + 1];
	struct timeval start;
	struct timeval finished;
	int32_t status;
	char output[MAX_SCRIPT_OUTPUT + 1];
};

struct ctdb_scripts_wire {
	uint32_t num_scripts;
	struct ctdb_script_wire scripts[1];
};

/* Events. */
enum ctdb_eventscript_call {
	CTDB_EVENT_INIT,
	CTDB_EVENT_SETUP,
	CTDB_EVENT_STARTUP,
	CTDB_EVENT_START_RECOVERY,
	CTDB_EVENT_RECOVERED,
	CTDB_EVENT_TAKE_IP,
	CTDB_EVENT_RELEASE_IP,
	CTDB_EVENT_STOPPED,
	CTDB_EVENT_MONITOR,
	CTDB_EVENT_STATUS,
	CTDB_EVENT_SHUTDOWN,
	CTDB_EVENT_RELOAD,
	CTDB_EVENT_UPDATE_IP,
	CTDB_EVENT_IPREALLOCATED,
	CTDB_EVENT_MAX
};

/* Packets. */
enum ctdb_operation {
	CTDB_REQ_CALL      = 0,
	CTDB_REPLY_CALL    = 1,
	CTDB_REQ_DMASTER   = 2,
	CTDB_REPLY_DMASTER = 3,
	CTDB_REPLY_ERROR   = 4,
	CTDB_REQ_MESSAGE   = 5,
	CTDB_REQ_CONTROL   = 7,
	CTDB_REPLY_CONTROL = 8,
	CTDB_REQ_KEEPALIVE = 9
};

#define CTDB_MAGIC   0x43544442
#define CTDB_VERSION 1

/* Controls. Daemons of today answer to most of them, and to some more. */
enum ctdb_controls {
	CTDB_CONTROL_PROCESS_EXISTS           = 0,
	CTDB_CONTROL_STATISTICS               = 1,
	CTDB_CONTROL_PING                     = 3,
	CTDB_CONTROL_GETDBPATH                = 4,
	CTDB_CONTROL_GETVNNMAP                = 5,
	CTDB_CONTROL_SETVNNMAP                = 6,
	CTDB_CONTROL_GET_DEBUG                = 7,
	CTDB_CONTROL_SET_DEBUG                = 8,
	CTDB_CONTROL_GET_DBMAP                = 9,
	CTDB_CONTROL_GET_NODEMAPv4            = 10,
	CTDB_CONTROL_SET_DMASTER              = 11,
	CTDB_CONTROL_PULL_DB                  = 13,
	CTDB_CONTROL_PUSH_DB                  = 14,
	CTDB_CONTROL_GET_RECMODE              = 15,
	CTDB_CONTROL_SET_RECMODE              = 16,
	CTDB_CONTROL_STATISTICS_RESET         = 17,
	CTDB_CONTROL_DB_ATTACH                = 18,
	CTDB_CONTROL_SET_CALL                 = 19,
	CTDB_CONTROL_TRAVERSE_START           = 20,
	CTDB_CONTROL_TRAVERSE_ALL             = 21,
	CTDB_CONTROL_TRAVERSE_DATA            = 22,
	CTDB_CONTROL_REGISTER_SRVID           = 23,
	CTDB_CONTROL_DEREGISTER_SRVID         = 24,
	CTDB_CONTROL_GET_DBNAME               = 25,
	CTDB_CONTROL_ENABLE_SEQNUM            = 26,
	CTDB_CONTROL_UPDATE_SEQNUM            = 27,
	CTDB_CONTROL_DUMP_MEMORY              = 29,
	CTDB_CONTROL_GET_PID                  = 30,
	CTDB_CONTROL_GET_RECMASTER            = 31,
	CTDB_CONTROL_SET_RECMASTER            = 32,
	CTDB_CONTROL_FREEZE                   = 33,
	CTDB_CONTROL_THAW                     = 34,
	CTDB_CONTROL_GET_PNN                  = 35,
	CTDB_CONTROL_SHUTDOWN                 = 36,
	CTDB_CONTROL_GET_MONMODE              = 37,
	CTDB_CONTROL_TAKEOVER_IPv4            = 42,
	CTDB_CONTROL_RELEASE_IPv4             = 43,
	CTDB_CONTROL_TCP_CLIENT               = 44,
	CTDB_CONTROL_TCP_ADD                  = 45,
	CTDB_CONTROL_TCP_REMOVE               = 46,
	CTDB_CONTROL_STARTUP                  = 47,
	CTDB_CONTROL_SET_TUNABLE              = 48,
	CTDB_CONTROL_GET_TUNABLE              = 49,
	CTDB_CONTROL_LIST_TUNABLES            = 50,
	CTDB_CONTROL_GET_PUBLIC_IPSv4         = 51,
	CTDB_CONTROL_MODIFY_FLAGS             = 52,
	CTDB_CONTROL_GET_ALL_TUNABLES         = 53,
	CTDB_CONTROL_KILL_TCP                 = 54,
	CTDB_CONTROL_GET_TCP_TICKLE_LIST      = 55,
	CTDB_CONTROL_SET_TCP_TICKLE_LIST      = 56,
	CTDB_CONTROL_REGISTER_SERVER_ID       = 57,
	CTDB_CONTROL_UNREGISTER_SERVER_ID     = 58,
	CTDB_CONTROL_CHECK_SERVER_ID          = 59,
	CTDB_CONTROL_GET_SERVER_ID_LIST       = 60,
	CTDB_CONTROL_DB_ATTACH_PERSISTENT     = 61,
	CTDB_CONTROL_PERSISTENT_STORE         = 62,
	CTDB_CONTROL_UPDATE_RECORD            = 63,
	CTDB_CONTROL_SEND_GRATIOUS_ARP        = 64,
	CTDB_CONTROL_TRANSACTION_START        = 65,
	CTDB_CONTROL_TRANSACTION_COMMIT       = 66,
	CTDB_CONTROL_WIPE_DATABASE            = 67,
	CTDB_CONTROL_UPTIME                   = 69,
	CTDB_CONTROL_START_RECOVERY           = 70,
	CTDB_CONTROL_END_RECOVERY             = 71,
	CTDB_CONTROL_RELOAD_NODES_FILE        = 72,
	CTDB_CONTROL_TRY_DELETE_RECORDS       = 74,
	CTDB_CONTROL_ENABLE_MONITOR           = 75,
	CTDB_CONTROL_DISABLE_MONITOR          = 76,
	CTDB_CONTROL_ADD_PUBLIC_IP            = 77,
	CTDB_CONTROL_DEL_PUBLIC_IP            = 78,
	CTDB_CONTROL_RUN_EVENTSCRIPTS         = 79,
	CTDB_CONTROL_GET_CAPABILITIES         = 80,
	CTDB_CONTROL_START_PERSISTENT_UPDATE  = 81,
	CTDB_CONTROL_CANCEL_PERSISTENT_UPDATE = 82,
	CTDB_CONTROL_TRANS2_COMMIT            = 83,
	CTDB_CONTROL_TRANS2_FINISHED          = 84,
	CTDB_CONTROL_TRANS2_ERROR             = 85,
	CTDB_CONTROL_TRANS2_COMMIT_RETRY      = 86,
	CTDB_CONTROL_RECD_PING                = 87,
	CTDB_CONTROL_RELEASE_IP               = 88,
	CTDB_CONTROL_TAKEOVER_IP              = 89,
	CTDB_CONTROL_GET_PUBLIC_IPS           = 90,
	CTDB_CONTROL_GET_NODEMAP              = 91,
	CTDB_CONTROL_GET_EVENT_SCRIPT_STATUS  = 96,
	CTDB_CONTROL_TRAVERSE_KILL            = 97,
	CTDB_CONTROL_RECD_RECLOCK_LATENCY     = 98,
	CTDB_CONTROL_GET_RECLOCK_FILE         = 99,
	CTDB_CONTROL_SET_RECLOCK_FILE         = 100,
	CTDB_CONTROL_STOP_NODE                = 101,
	CTDB_CONTROL_CONTINUE_NODE            = 102,
	CTDB_CONTROL_SET_NATGWSTATE           = 103,
	CTDB_CONTROL_SET_LMASTERROLE          = 104,
	CTDB_CONTROL_SET_RECMASTERROLE        = 105,
	CTDB_CONTROL_ENABLE_SCRIPT            = 107,
	CTDB_CONTROL_DISABLE_SCRIPT           = 108,
	CTDB_CONTROL_SET_BAN_STATE            = 109,
	CTDB_CONTROL_GET_BAN_STATE            = 110,
	CTDB_CONTROL_SET_DB_PRIORITY          = 111,
	CTDB_CONTROL_GET_DB_PRIORITY          = 112,
	CTDB_CONTROL_TRANSACTION_CANCEL       = 113,
	CTDB_CONTROL_REGISTER_NOTIFY          = 114,
	CTDB_CONTROL_DEREGISTER_NOTIFY        = 115,
	CTDB_CONTROL_TRANS2_ACTIVE            = 116,
	CTDB_CONTROL_GET_LOG                  = 117,
	CTDB_CONTROL_CLEAR_LOG                = 118,
	CTDB_CONTROL_TRANS3_COMMIT            = 119,
	CTDB_CONTROL_GET_DB_SEQNUM            = 120,
	CTDB_CONTROL_DB_SET_HEALTHY           = 121,
	CTDB_CONTROL_DB_GET_HEALTH            = 122,
	CTDB_CONTROL_GET_PUBLIC_IP_INFO       = 123,
	CTDB_CONTROL_GET_IFACES               = 124,
	CTDB_CONTROL_SET_IFACE_LINK_STATE     = 125,
	CTDB_CONTROL_TCP_ADD_DELAYED_UPDATE   = 126,
	CTDB_CONTROL_GET_STAT_HISTORY         = 127,
	CTDB_CONTROL_SCHEDULE_FOR_DELETION    = 128,
	CTDB_CONTROL_SET_DB_READONLY          = 129,
	CTDB_CONTROL_CHECK_SRVIDS             = 130,
	CTDB_CONTROL_TRAVERSE_START_EXT       = 131,
	CTDB_CONTROL_GET_DB_STATISTICS        = 132,
	CTDB_CONTROL_SET_DB_STICKY            = 133,
	CTDB_CONTROL_RELOAD_PUBLIC_IPS        = 134,
	CTDB_CONTROL_TRAVERSE_ALL_EXT         = 135,
	CTDB_CONTROL_RECEIVE_RECORDS          = 136,
	CTDB_CONTROL_IPREALLOCATED            = 137,
	CTDB_CONTROL_GET_RUNSTATE             = 138
};

/* What every packet begins with. */
struct ctdb_req_header {
	uint32_t length;
	uint32_t ctdb_magic;
	uint32_t ctdb_version;
	uint32_t generation;
	uint32_t operation;
	uint32_t destnode;
	uint32_t srcnode;
	uint32_t reqid;
};

/* In data: the key, then what the function is called with. */
struct ctdb_req_call {
	struct ctdb_req_header hdr;
	uint32_t flags;
	uint32_t db_id;
	uint32_t callid;
	uint32_t hopcount;
	uint32_t keylen;
	uint32_t calldatalen;
	uint8_t data[1];
};

struct ctdb_reply_call {
	struct ctdb_req_header hdr;
	uint32_t status;
	uint32_t datalen;
	uint8_t data[1];
};

struct ctdb_reply_error {
	struct ctdb_req_header hdr;
	uint32_t status;
	uint32_t msglen;
	uint8_t msg[1];
};

/* In data: the key, then the record. */
struct ctdb_req_dmaster {
	struct ctdb_req_header hdr;
	uint32_t db_id;
	uint64_t rsn;
	uint32_t dmaster;
	uint32_t keylen;
	uint32_t datalen;
	uint8_t data[1];
};

/* In data: the key, then the record. */
struct ctdb_reply_dmaster {
	struct ctdb_req_header hdr;
	uint32_t db_id;
	uint64_t rsn;
	uint32_t keylen;
	uint32_t datalen;
	uint8_t data[1];
};

struct ctdb_req_message {
	struct ctdb_req_header hdr;
	uint64_t srvid;
	uint32_t datalen;
	uint8_t data[1];
};

struct ctdb_req_getdbpath {
	struct ctdb_req_header hdr;
	uint32_t db_id;
};

struct ctdb_reply_getdbpath {
	struct ctdb_req_header hdr;
	uint32_t datalen;
	uint8_t data[1];
};

/* Flags of controls. */
#define CTDB_CTRL_FLAG_NOREPLY         1
#define CTDB_CTRL_FLAG_OPCODE_SPECIFIC 0xFFFF0000

struct ctdb_req_control {
	struct ctdb_req_header hdr;
	uint32_t opcode;
	uint32_t pad;
	uint64_t srvid;
	uint32_t client_id;
	uint32_t flags;
	uint32_t datalen;
	uint8_t data[1];
};

/* In data: the reply, then the text of an error. */
struct ctdb_reply_control {
	struct ctdb_req_header hdr;
	int32_t status;
	uint32_t datalen;
	uint32_t errorlen;
	uint8_t data[1];
};

/* Today two numbers follow. */
struct ctdb_req_keepalive {
	struct ctdb_req_header hdr;
};

enum ctdb_trans2_commit_error {
	CTDB_TRANS2_COMMIT_SUCCESS  = 0,
	CTDB_TRANS2_COMMIT_TIMEOUT  = 1,
	CTDB_TRANS2_COMMIT_ALLFAIL  = 2,
	CTDB_TRANS2_COMMIT_SOMEFAIL = 3
};

/* Flags of records. */
#define CTDB_REC_FLAG_DEFAULT            0x00000000
#define CTDB_REC_FLAG_MIGRATED_WITH_DATA 0x00010000
#define CTDB_REC_FLAG_VACUUM_MIGRATED    0x00020000
#define CTDB_REC_FLAG_AUTOMATIC          0x00040000
#define CTDB_REC_RO_HAVE_DELEGATIONS     0x01000000 /* copies were lent */
#define CTDB_REC_RO_HAVE_READONLY        0x02000000 /* this is a lent copy */
#define CTDB_REC_RO_REVOKING_READONLY    0x04000000
#define CTDB_REC_RO_REVOKE_COMPLETE      0x08000000
#define CTDB_REC_RO_FLAGS                0x0F000000

/* What stands in front of each value in a database's file. */
struct ctdb_ltdb_header {
	uint64_t rsn;
	uint32_t dmaster;
	uint32_t reserved1;
	uint32_t flags;
};

typedef struct sockaddr_in ctdb_addr_in;
typedef struct sockaddr_in6 ctdb_addr_in6;
typedef union {
	struct sockaddr sa;
	ctdb_addr_in ip;
	ctdb_addr_in6 ip6;
} ctdb_sock_addr;

/* A node. */
struct ctdb_node_and_flags {
	uint32_t pnn;
	uint32_t flags;
	ctdb_sock_addr addr;
};

/* All nodes; there are num of them. */
struct ctdb_node_map {
	uint32_t num;
	struct ctdb_node_and_flags nodes[1];
};

/* What is wrong with a node. */
#define NODE_FLAGS_DISCONNECTED         0x00000001
#define NODE_FLAGS_UNHEALTHY            0x00000002
#define NODE_FLAGS_PERMANENTLY_DISABLED 0x00000004
#define NODE_FLAGS_BANNED               0x00000008
#define NODE_FLAGS_DELETED              0x00000010
#define NODE_FLAGS_STOPPED              0x00000020
#define NODE_FLAGS_DISABLED             (NODE_FLAGS_UNHEALTHY | NODE_FLAGS_PERMANENTLY_DISABLED)
#define NODE_FLAGS_INACTIVE \
	(NODE_FLAGS_DISCONNECTED | NODE_FLAGS_BANNED | NODE_FLAGS_DELETED | NODE_FLAGS_STOPPED)

/* What a node can do. */
#define CTDB_CAP_RECMASTER 0x00000001 /* lead */
#define CTDB_CAP_LMASTER   0x00000002
#define CTDB_CAP_LVS       0x00000004
#define CTDB_CAP_NATGW     0x00000008

/* A public address; pnn is -1 if no node hosts it. */
struct ctdb_public_ip {
	uint32_t pnn;
	ctdb_sock_addr addr;
};

struct ctdb_all_public_ips {
	uint32_t num;
	struct ctdb_public_ip ips[1];
};

/* How long something takes, in seconds. */
struct latency_counter {
	int num;
	double min;
	double max;
	double total;
};

/* A record of a traverse: in data the key, then what is stored under it. */
struct ctdb_rec_data {
	uint32_t length;
	uint32_t reqid;
	uint32_t keylen;
	uint32_t datalen;
	uint8_t data[1];
};

struct ctdb_traverse_start {
	uint32_t db_id;
	uint32_t reqid;
	uint64_t srvid;
};

struct ctdb_traverse_start_ext {
	uint32_t db_id;
	uint32_t reqid;
	uint64_t srvid;
	bool withemptyrecords;
};

#define MAX_COUNT_BUCKETS 16
#define MAX_HOT_KEYS      10

/* Counters of a node, as they were sent then: today's daemons send some more in between. */
struct ctdb_statistics {
	uint32_t num_clients;
	uint32_t frozen;
	uint32_t recovering;
	uint32_t client_packets_sent;
	uint32_t client_packets_recv;
	uint32_t node_packets_sent;
	uint32_t node_packets_recv;
	uint32_t keepalive_packets_sent;
	uint32_t keepalive_packets_recv;
	struct {
		uint32_t req_call;
		uint32_t reply_call;
		uint32_t req_dmaster;
		uint32_t reply_dmaster;
		uint32_t reply_error;
		uint32_t req_message;
		uint32_t req_control;
		uint32_t reply_control;
	} node;
	struct {
		uint32_t req_call;
		uint32_t req_message;
		uint32_t req_control;
	} client;
	struct {
		uint32_t call;
		uint32_t control;
		uint32_t traverse;
	} timeouts;
	struct {
		struct latency_counter ctdbd;
		struct latency_counter recd;
	} reclock;
	struct {
		uint32_t num_calls;
		uint32_t num_current;
		uint32_t num_pending;
		uint32_t num_failed;
		struct latency_counter latency;
		uint32_t buckets[MAX_COUNT_BUCKETS];
	} locks;
	uint32_t total_calls;
	uint32_t pending_calls;
	uint32_t childwrite_calls;
	uint32_t pending_childwrite_calls;
	uint32_t memory_used;
	uint32_t __last_counter;
	uint32_t max_hop_count;
	uint32_t hop_count_bucket[MAX_COUNT_BUCKETS];
	struct latency_counter call_latency;
	struct latency_counter childwrite_latency;
	uint32_t num_recoveries;
	struct timeval statistics_start_time;
	struct timeval statistics_current_time;
	uint32_t total_ro_delegations;
	uint32_t total_ro_revokes;
};

struct ctdb_statistics_wire {
	uint32_t num;
	struct ctdb_statistics stats[1];
};

/* Counters of a database, as ctdb_getdbstat gives them. */
struct ctdb_db_statistics {
	struct {
		uint32_t num_calls;
		uint32_t num_current;
		uint32_t num_pending;
		uint32_t num_failed;
		struct latency_counter latency;
		uint32_t buckets[MAX_COUNT_BUCKETS];
	} locks;
	uint32_t db_ro_delegations;
	uint32_t db_ro_revokes;
	uint32_t hop_count_bucket[MAX_COUNT_BUCKETS];
	uint32_t num_hot_keys;
	struct {
		uint32_t count;
		TDB_DATA key;
	} hot_keys[MAX_HOT_KEYS];
	char hot_keys_wire[1];
};

/* IFNAMSIZ. */
#define CTDB_IFACE_SIZE 16

struct ctdb_iface_info {
	char name[CTDB_IFACE_SIZE + 2];
	uint16_t link_state;
	uint32_t references;
};

struct ctdb_ifaces_list {
	uint32_t num;
	struct ctdb_iface_info ifaces[1];
};

#define INVALID_GENERATION 1

/* Which node is the lmaster of a key: map[hash of the key % size]. */
struct ctdb_vnn_map {
	uint32_t generation;
	uint32_t size;
	uint32_t *map;
};

/* The same as it is sent. */
struct ctdb_vnn_map_wire {
	uint32_t generation;
	uint32_t size;
	uint32_t map[1];
};

#endif /* _CTDB_PROTOCOL_H */
