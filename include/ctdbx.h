/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * libctdb: everything that a ctdb daemon can do for a program, from any thread. Link with -lctdb.
 *
 *	struct ctdbx_client *client;
 *	if (ctdbx_connect(NULL, 0, 5000, &client) != CTDBX_OK)
 *		errx(1, "%s", ctdbx_error_text());
 *
 * Results: functions give CTDBX_OK, or say why they failed, with a text from ctdbx_error_text(). What is given through
 *	a pointer is there only after CTDBX_OK.
 * Times: a timeout is in milliseconds; -1 is for ever.
 * Bytes: keys, values and data are an address and a size; NULL and 0 are no bytes.
 * Memory: what a call gives is freed as its description says, mostly by ctdbx_free().
 * Threads: each handle's description says how many may use it at a time. The library has one thread of its own, in
 *	which all signals are blocked, for as long as there is a connection.
 * Fork: a child has to connect by itself. The handles of its parent fail with CTDBX_FORKED.
 * Versions: what is here stays. What is added comes with another CTDBX_VERSION and with symbol versions of its own.
 *
 * The library never prints, ends the program, reads its environment or calls back into it. ctdb.h is the other
 * interface of this library; both may be used in one program, but not for the same database at the same time.
 *
 * Made by `cargo xtask headers` of libctdb-ffi/src/wide.
 */

#ifndef CTDBX_H
#define CTDBX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Where the daemon listens unless it was told otherwise.
 */
#define CTDBX_SOCKET "/run/ctdb/ctdbd.socket"


/**
 * Success.
 */
#define CTDBX_OK 0

/**
 * An argument is wrong: a NULL where none may be, a text that is not UTF-8.
 */
#define CTDBX_INVALID 1

/**
 * Nobody listens at the socket, or this process may not talk to it.
 */
#define CTDBX_CONNECT 2

/**
 * The connection is gone. With CTDBX_RECONNECT the next call waits for a new one.
 */
#define CTDBX_DISCONNECTED 3

/**
 * Not done in time. What was sent may still be done.
 */
#define CTDBX_TIMED_OUT 4

/**
 * The daemon refused; ctdbx_error_status() has its status.
 */
#define CTDBX_REFUSED 5

/**
 * The daemon, or a database's file, holds something that cannot be understood.
 */
#define CTDBX_PROTOCOL 6

/**
 * Too much is waiting: the daemon does not read, or too many requests have no reply.
 */
#define CTDBX_LIMIT 7

/**
 * Somebody else has it: another client the tunnel, another part of this process the database.
 */
#define CTDBX_IN_USE 8

/**
 * The kind of the database does not know this operation.
 */
#define CTDBX_WRONG_KIND 9

/**
 * The daemon has marked the database as not to be used.
 */
#define CTDBX_UNHEALTHY 10

/**
 * The database's file could not be opened, read, locked or written.
 */
#define CTDBX_FILE 11

/**
 * Whether the transaction was committed is not known: ctdbx_sequence_number() tells, once the
 * cluster is well.
 */
#define CTDBX_COMMIT_UNKNOWN 12

/**
 * The lock or transaction ended before, with the connection that it belonged to.
 */
#define CTDBX_LOST 13

/**
 * The handle belongs to the parent of this process.
 */
#define CTDBX_FORKED 14

/**
 * There is no memory for the result.
 */
#define CTDBX_NO_MEMORY 15

/**
 * A fault in the library.
 */
#define CTDBX_INTERNAL 16

/**
 * There are no more records. Not an error.
 */
#define CTDBX_END 17

/**
 * The system does not give what is needed: a descriptor, a thread.
 */
#define CTDBX_SYSTEM 18

/**
 * The number of this API. It grows when something is added; nothing is ever taken away. What the
 * library has is said by ctdbx_version().
 */
#define CTDBX_VERSION 1

/**
 * For ctdbx_connect(): connect again whenever the connection has ended. What was under way fails
 * with CTDBX_DISCONNECTED and is not repeated; calls that are made meanwhile wait for the daemon.
 * Databases, subscriptions, tunnels and notifications are made again by the library; locks,
 * transactions and traverses are over.
 */
#define CTDBX_RECONNECT 1

/**
 * As a node: the one whose daemon this is.
 */
#define CTDBX_THIS_NODE 4026531841

/**
 * As a node, for messages and controls without an answer: all nodes.
 */
#define CTDBX_ALL_NODES 4026531842

/**
 * The same: all active nodes.
 */
#define CTDBX_ACTIVE_NODES 4026531843

/**
 * The same: all connected nodes.
 */
#define CTDBX_CONNECTED_NODES 4026531844

/**
 * As a node in an answer: none.
 */
#define CTDBX_NO_NODE 4294967295

/**
 * A message to a subscription.
 */
#define CTDBX_EVENT_MESSAGE 1

/**
 * A request that came through a tunnel.
 */
#define CTDBX_EVENT_TUNNEL 2

/**
 * Messages or requests came faster than they were taken: `lost` of them are gone.
 */
#define CTDBX_EVENT_OVERRUN 3

/**
 * The daemon is gone, and locks, transactions and traverses with it.
 */
#define CTDBX_EVENT_DISCONNECTED 4

/**
 * There is a daemon again (CTDBX_RECONNECT): subscriptions, tunnels and notifications are in
 * place again.
 */
#define CTDBX_EVENT_RECONNECTED 5

/**
 * A subscription or tunnel could not be had again after reconnecting, and is dead.
 */
#define CTDBX_EVENT_GONE 6

/**
 * As an address: the messages to all addresses of the node.
 */
#define CTDBX_ALL_ADDRESSES 18446744073709551615ull

/**
 * For ctdbx_attach(): records move between the nodes, and are lost with them. Written under record
 * locks.
 */
#define CTDBX_VOLATILE 0

/**
 * The same: all nodes have all records on disk. Written in transactions.
 */
#define CTDBX_PERSISTENT 1

/**
 * In addition to VOLATILE: read-only copies may be lent (ctdbx_read_copy()). Cannot be undone.
 */
#define CTDBX_READONLY 2

/**
 * In addition to VOLATILE: hot records stay on a node for a while. Cannot be undone.
 */
#define CTDBX_STICKY 4

/**
 * The same as PERSISTENT, but lost when all nodes are down.
 */
#define CTDBX_REPLICATED 8

/**
 * For ctdbx_begin() and ctdbx_g_lock(): together with other readers.
 */
#define CTDBX_READ 0

/**
 * The same: alone.
 */
#define CTDBX_WRITE 1

/**
 * ctdbx_node.flags: there is no connection to it.
 */
#define CTDBX_NODE_DISCONNECTED 1

/**
 * The same: its services are not well.
 */
#define CTDBX_NODE_UNHEALTHY 2

/**
 * The same: the administrator disabled it.
 */
#define CTDBX_NODE_DISABLED 4

/**
 * The same: it is banned.
 */
#define CTDBX_NODE_BANNED 8

/**
 * The same: it is commented out of the nodes file.
 */
#define CTDBX_NODE_DELETED 16

/**
 * The same: the administrator stopped it.
 */
#define CTDBX_NODE_STOPPED 32

/**
 * ctdbx_run_state(): the daemon begins.
 */
#define CTDBX_STATE_INIT 1

/**
 * The same: it sets itself up.
 */
#define CTDBX_STATE_SETUP 2

/**
 * The same: it waits for the first recovery.
 */
#define CTDBX_STATE_FIRST_RECOVERY 3

/**
 * The same: its services start.
 */
#define CTDBX_STATE_STARTUP 4

/**
 * The same: all is up.
 */
#define CTDBX_STATE_RUNNING 5

/**
 * The same: on the way down.
 */
#define CTDBX_STATE_SHUTDOWN 6

/**
 * ctdbx_capabilities(): the node can be leader.
 */
#define CTDBX_CAN_LEAD 1

/**
 * The same: it can be lmaster.
 */
#define CTDBX_CAN_BE_LMASTER 2

/**
 * For ctdbx_command(): no public addresses on the node any more.
 */
#define CTDBX_COMMAND_DISABLE 1

/**
 * Ends that.
 */
#define CTDBX_COMMAND_ENABLE 2

/**
 * The node leaves the databases.
 */
#define CTDBX_COMMAND_STOP 3

/**
 * Ends that.
 */
#define CTDBX_COMMAND_CONTINUE 4

/**
 * A connection to the daemon. Any number of threads may use it at the same time.
 */
struct ctdbx_client;

/**
 * An attached database. Any number of threads may use it at the same time.
 */
struct ctdbx_db;

/**
 * A global lock that is held. One thread at a time may use it, whichever.
 */
struct ctdbx_global_lock;

/**
 * A locked record. One thread at a time may use it, whichever.
 */
struct ctdbx_record;

/**
 * A subscription. Any number of threads may use it.
 */
struct ctdbx_subscription;

/**
 * A transaction. One thread at a time may use it, whichever.
 */
struct ctdbx_transaction;

/**
 * A traverse under way. One thread at a time may use it, whichever.
 */
struct ctdbx_traverse;

/**
 * This node's end of a tunnel. Any number of threads may use it.
 */
struct ctdbx_tunnel;

/**
 * Something that happened. To be freed with ctdbx_free().
 */
struct ctdbx_event {
        /**
         * One of CTDBX_EVENT_*. Others may be added: ignore what you do not know.
         */
        int kind;
        /**
         * MESSAGE, TUNNEL: the node that sent it. A C daemon (4.17.12) says its own instead.
         */
        uint32_t node;
        /**
         * MESSAGE: the SRVID it was sent to. TUNNEL: the tunnel.
         */
        uint64_t address;
        /**
         * How many are gone; 0 but for OVERRUN.
         */
        uint64_t lost;
        /**
         * What the subscription or tunnel was made with; else NULL.
         */
        void *cookie;
        /**
         * What was sent, with a NUL behind it that `size` does not count.
         */
        const uint8_t *data;
        /**
         * Bytes of it.
         */
        size_t size;
};

/**
 * Bytes that the library allocated. Behind the last one there is a NUL, so that a text can be
 * printed; `size` does not count it. `data` is to be freed with ctdbx_free().
 */
struct ctdbx_blob {
        /**
         * The bytes; never NULL after success.
         */
        uint8_t *data;
        /**
         * How many.
         */
        size_t size;
};

/**
 * A database that a node has attached.
 */
struct ctdbx_database_info {
        /**
         * Its number, the hash of its name.
         */
        uint32_t id;
        /**
         * CTDBX_PERSISTENT and its like.
         */
        uint32_t flags;
};

/**
 * Databases, to be freed with ctdbx_free().
 */
struct ctdbx_database_list {
        /**
         * How many.
         */
        size_t count;
        /**
         * The databases.
         */
        struct ctdbx_database_info *items;
};

/**
 * Bytes that belong to a handle: not to be freed, and valid until the next call with that handle.
 */
struct ctdbx_view {
        /**
         * The bytes; never NULL after success.
         */
        const uint8_t *data;
        /**
         * How many.
         */
        size_t size;
};

/**
 * A node.
 */
struct ctdbx_node {
        /**
         * Its number.
         */
        uint32_t pnn;
        /**
         * CTDBX_NODE_*, 0 if all is well.
         */
        uint32_t flags;
        /**
         * Its private address.
         */
        char address[64];
};

/**
 * Nodes in the order of the nodes file, to be freed with ctdbx_free().
 */
struct ctdbx_node_list {
        /**
         * How many.
         */
        size_t count;
        /**
         * The nodes.
         */
        struct ctdbx_node *items;
};

/**
 * The nodes that share the work of knowing where records are, to be freed with ctdbx_free().
 */
struct ctdbx_vnn_map {
        /**
         * The number of the cluster's configuration: each recovery makes another.
         */
        uint32_t generation;
        /**
         * How many.
         */
        size_t count;
        /**
         * Their numbers.
         */
        uint32_t *lmasters;
};

/**
 * Times of a daemon, in microseconds since 1970; 0 is never.
 */
struct ctdbx_uptime_info {
        /**
         * Now, as the node sees it.
         */
        int64_t now;
        /**
         * When it started.
         */
        int64_t started;
        /**
         * When the last recovery began.
         */
        int64_t recovery_started;
        /**
         * When it ended.
         */
        int64_t recovery_finished;
};

/**
 * A public address.
 */
struct ctdbx_public_ip {
        /**
         * The node that hosts it; CTDBX_NO_NODE if none does.
         */
        uint32_t pnn;
        /**
         * The address.
         */
        char address[64];
};

/**
 * Public addresses, to be freed with ctdbx_free().
 */
struct ctdbx_public_ip_list {
        /**
         * How many.
         */
        size_t count;
        /**
         * The addresses.
         */
        struct ctdbx_public_ip *items;
};

/**
 * An interface that public addresses can be on.
 */
struct ctdbx_interface {
        /**
         * Its name.
         */
        char name[32];
        /**
         * 1: its link is up.
         */
        uint32_t up;
        /**
         * How many public addresses are on it.
         */
        uint32_t addresses;
};

/**
 * Interfaces, to be freed with ctdbx_free().
 */
struct ctdbx_interface_list {
        /**
         * How many.
         */
        size_t count;
        /**
         * The interfaces.
         */
        struct ctdbx_interface *items;
};

/**
 * A daemon's answer to a control, to be freed with ctdbx_free().
 */
struct ctdbx_reply {
        /**
         * Negative: it refused. Some controls answer with this number alone.
         */
        int32_t status;
        /**
         * The answer's data, with a NUL behind it that `size` does not count.
         */
        const uint8_t *data;
        /**
         * Bytes of it.
         */
        size_t size;
        /**
         * Why it refused; "" if it does not say.
         */
        const char *error;
};

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * What the last call that failed on this thread failed with: one line, empty if none has. Valid
 * until the next call of this library on this thread.
 */
const char *ctdbx_error_text(void);

/**
 * The daemon's status, if the last call that failed on this thread was refused by it; else 0.
 */
int32_t ctdbx_error_status(void);

/**
 * What a result's number means, in general. Never NULL, and always valid.
 */
const char *ctdbx_strerror(int code);

/**
 * Frees what a function of this API returned, unless its description names another one for that.
 * NULL is fine.
 */
void ctdbx_free(void *memory);

/**
 * The version of the library that is running: at least the CTDBX_VERSION that it was asked for
 * when the program was linked.
 */
int ctdbx_version(void);

/**
 * Connects to a daemon.
 *
 * `socket`: the path of its socket; NULL is CTDBX_SOCKET. `flags`: 0 or CTDBX_RECONNECT, with which
 * the first connection, too, is tried again and again until `timeout` (milliseconds; -1: for ever).
 * `*client` is to be given to ctdbx_disconnect() in the end.
 *
 * CTDBX_CONNECT, CTDBX_TIMED_OUT, CTDBX_DISCONNECTED (the daemon closed it at once), CTDBX_SYSTEM.
 */
int ctdbx_connect(const char *socket, uint32_t flags, int timeout, struct ctdbx_client **client);

/**
 * Ends a connection and frees its handle; NULL is fine. Locks are released, transactions cancelled,
 * and what was sent before is still taken by the daemon if it does so within a second. Calls that
 * wait on other threads end with CTDBX_DISCONNECTED; none may begin after this. Handles of
 * databases, locks and the like are still to be freed, before or after, and are of no other use.
 *
 * In a child of the process that connected this frees what can be freed, and the parent's connection
 * stays.
 */
void ctdbx_disconnect(struct ctdbx_client *client);

/**
 * The number of the node whose daemon this is.
 */
int ctdbx_pnn(const struct ctdbx_client *client, int timeout, uint32_t *pnn);

/**
 * Returns when the daemon has taken everything that this connection sent before. Messages are sent
 * without waiting, so this is for the end of a program that ends without ctdbx_disconnect().
 */
int ctdbx_flush(const struct ctdbx_client *client, int timeout);

/**
 * Sends a message to whoever has subscribed to `address` on a node; `node` may be CTDBX_THIS_NODE,
 * and CTDBX_ALL_NODES and its like. Nobody says whether it was received.
 */
int ctdbx_send(const struct ctdbx_client *client,
               uint32_t node,
               uint64_t address,
               const void *data,
               size_t size);

/**
 * A descriptor that is readable while ctdbx_next_event() has something to give, for poll() and its
 * like: not to be read from or closed. -1 if the handle is no good. It stays the same for as long
 * as the connection, over reconnecting too.
 */
int ctdbx_fd(const struct ctdbx_client *client);

/**
 * The next event, in the order in which they came. Waits for up to `timeout` milliseconds; -1 is
 * for ever, 0 not at all. Several threads may wait: each event goes to one of them.
 *
 * `*event` is to be freed with ctdbx_free(). CTDBX_TIMED_OUT: there was none in time.
 * CTDBX_DISCONNECTED: there will be none any more.
 */
int ctdbx_next_event(const struct ctdbx_client *client, int timeout, struct ctdbx_event **event);

/**
 * Receives the messages to an address, as events of the connection, from when this returns. Several
 * subscriptions of one address each get every message.
 *
 * `cookie`: comes with each event. `*subscription` is to be given to ctdbx_unsubscribe() in the end.
 */
int ctdbx_subscribe(const struct ctdbx_client *client,
                    uint64_t address,
                    void *cookie,
                    int timeout,
                    struct ctdbx_subscription **subscription);

/**
 * Ends a subscription and frees its handle; NULL is fine. No event with its cookie is given after
 * this.
 */
void ctdbx_unsubscribe(struct ctdbx_subscription *subscription);

/**
 * Opens this node's end of a tunnel, whose requests come as events of the connection. A node has
 * one end of each tunnel: CTDBX_IN_USE if another client, or this one, has it.
 *
 * `cookie`: comes with each event. `*tunnel` is to be given to ctdbx_tunnel_close() in the end.
 */
int ctdbx_tunnel_open(const struct ctdbx_client *client,
                      uint64_t id,
                      void *cookie,
                      int timeout,
                      struct ctdbx_tunnel **tunnel);

/**
 * Sends a request through a tunnel to its end on a node. Nobody says whether it was received. An
 * answer is a request of the other side: the daemons pass on neither a request's number nor, if
 * they are C's (4.17.12), the node that it came from, so the data has to say what belongs together.
 *
 * CTDBX_LOST: the tunnel could not be had again after reconnecting.
 */
int ctdbx_tunnel_send(const struct ctdbx_tunnel *tunnel,
                      uint32_t node,
                      const void *data,
                      size_t size);

/**
 * Closes a tunnel and frees its handle; NULL is fine. No event with its cookie is given after this.
 */
void ctdbx_tunnel_close(struct ctdbx_tunnel *tunnel);

/**
 * An address for messages that no other process of the node uses, and that this one gets but once.
 */
uint64_t ctdbx_private_address(void);

/**
 * Has the daemon send a message to all nodes when this process's connection ends, however it ends:
 * one for each address. With CTDBX_RECONNECT it is asked for again on each new connection.
 */
int ctdbx_notify(const struct ctdbx_client *client,
                 uint64_t address,
                 const void *data,
                 size_t size,
                 int timeout);

/**
 * Ends that.
 */
int ctdbx_notify_end(const struct ctdbx_client *client, uint64_t address, int timeout);

/**
 * Attaches a database on this node, and makes it if it is not there.
 *
 * `flags`: CTDBX_VOLATILE, CTDBX_PERSISTENT or CTDBX_REPLICATED, and CTDBX_READONLY, CTDBX_STICKY.
 * A name has one kind in the cluster, the one it was first attached with. `*db` is to be given to
 * ctdbx_detach() in the end.
 *
 * The file is opened once in the process, whatever number of handles and connections there are for
 * it. CTDBX_IN_USE: something else in this process, such as the API of ctdb.h, has it open.
 * Opening the first database makes libtdb fork once, for a moment, and install a handler for
 * SIGCHLD that calls the one that was there.
 */
int ctdbx_attach(const struct ctdbx_client *client,
                 const char *name,
                 uint32_t flags,
                 int timeout,
                 struct ctdbx_db **db);

/**
 * Ends the use of a database and frees its handle; NULL is fine. Locks and transactions of it stay
 * as they are. The daemon keeps the database.
 */
void ctdbx_detach(struct ctdbx_db *db);

/**
 * The number of a database, the hash of its name; 0 if the handle is no good.
 */
uint32_t ctdbx_db_id(const struct ctdbx_db *db);

/**
 * The name of a database, valid as long as the handle; NULL if the handle is no good.
 */
const char *ctdbx_db_name(const struct ctdbx_db *db);

/**
 * The tdb file of a database, valid as long as the handle; NULL if the handle is no good. Nothing in
 * this process may open it: closing it again would drop the locks of the process.
 */
const char *ctdbx_db_path(const struct ctdbx_db *db);

/**
 * The value of a record, as it is somewhere in the cluster, which does not move the record; `size`
 * is 0 if there is none. It may have changed when this returns. `value->data` is to be freed with
 * ctdbx_free().
 */
int ctdbx_read(const struct ctdbx_db *db,
               const void *key,
               size_t size,
               int timeout,
               struct ctdbx_blob *value);

/**
 * The same, but has a copy of the record lent to this node, which is read here from then on, until
 * somebody writes the record. For databases with CTDBX_READONLY; in other volatile ones the record
 * is moved here.
 */
int ctdbx_read_copy(const struct ctdbx_db *db,
                    const void *key,
                    size_t size,
                    int timeout,
                    struct ctdbx_blob *value);

/**
 * Writes a record of a volatile database: locks it, stores the value, and unlocks it, all at once.
 * An empty value deletes the record.
 */
int ctdbx_store(const struct ctdbx_db *db,
                const void *key,
                size_t key_size,
                const void *value,
                size_t value_size,
                int timeout);

/**
 * How many transactions a persistent or replicated database has seen, as this node has it; 0 of a
 * volatile one.
 */
int ctdbx_sequence_number(const struct ctdbx_db *db, int timeout, uint64_t *number);

/**
 * The databases that a node has attached.
 */
int ctdbx_databases(const struct ctdbx_client *client,
                    uint32_t node,
                    int timeout,
                    struct ctdbx_database_list **databases);

/**
 * The name of a database of a node, by its number, to be freed with ctdbx_free().
 */
int ctdbx_database_name(const struct ctdbx_client *client,
                        uint32_t node,
                        uint32_t id,
                        int timeout,
                        char **name);

/**
 * The file of a database on a node, by its number, to be freed with ctdbx_free().
 */
int ctdbx_database_path(const struct ctdbx_client *client,
                        uint32_t node,
                        uint32_t id,
                        int timeout,
                        char **path);

/**
 * Why a database of a node must not be used, to be freed with ctdbx_free(); NULL if it may.
 */
int ctdbx_database_health(const struct ctdbx_client *client,
                          uint32_t node,
                          uint32_t id,
                          int timeout,
                          char **reason);

/**
 * The sequence number of a database of a node, by its number.
 */
int ctdbx_database_sequence_number(const struct ctdbx_client *client,
                                   uint32_t node,
                                   uint32_t id,
                                   int timeout,
                                   uint64_t *number);

/**
 * The counters of a database of a node as a JSON object, to be freed with ctdbx_free(). More may be
 * added.
 */
int ctdbx_database_statistics(const struct ctdbx_client *client,
                              uint32_t node,
                              uint32_t id,
                              int timeout,
                              char **json);

/**
 * Moves a record of a volatile database to this node and locks it, so that neither another process
 * of the cluster nor another handle of this one can touch it. A record that is not there is made,
 * without a value. Locks are meant to be short: the daemon, and processes that want other records,
 * may be waiting.
 *
 * As many records as are wanted can be locked at a time, by one thread too: keep to an order that
 * all programs keep to. CTDBX_TIMED_OUT: not within `timeout`. `*record` is to be given to
 * ctdbx_unlock() in the end.
 */
int ctdbx_lock(const struct ctdbx_db *db,
               const void *key,
               size_t size,
               int timeout,
               struct ctdbx_record **record);

/**
 * The value of a locked record, which is that of the last store; `size` is 0 if there is none.
 */
int ctdbx_value(struct ctdbx_record *record, struct ctdbx_view *value);

/**
 * The record sequence number that a locked record had when it was locked; 0 if the handle is no
 * good.
 */
uint64_t ctdbx_rsn(struct ctdbx_record *record);

/**
 * Writes the value of a locked record; an empty one deletes it.
 *
 * CTDBX_LOST: the connection ended, and the lock with it. Nothing was written.
 */
int ctdbx_store_locked(struct ctdbx_record *record, const void *value, size_t size);

/**
 * Releases a record and frees its handle; NULL is fine. Others can have it when this returns.
 */
void ctdbx_unlock(struct ctdbx_record *record);

/**
 * Begins a transaction on a persistent or replicated database, waiting for others. `mode`:
 * CTDBX_READ or CTDBX_WRITE; a writer is alone in the cluster.
 *
 * `*transaction` is to be given to ctdbx_commit() or ctdbx_cancel() in the end.
 */
int ctdbx_begin(const struct ctdbx_db *db,
                int mode,
                int timeout,
                struct ctdbx_transaction **transaction);

/**
 * The value of a record as the transaction sees it, its own writes included; `size` is 0 if there
 * is none. `value->data` is to be freed with ctdbx_free().
 */
int ctdbx_transaction_fetch(struct ctdbx_transaction *transaction,
                            const void *key,
                            size_t size,
                            int timeout,
                            struct ctdbx_blob *value);

/**
 * Writes a record with the commit; an empty value deletes it.
 */
int ctdbx_transaction_store(struct ctdbx_transaction *transaction,
                            const void *key,
                            size_t key_size,
                            const void *value,
                            size_t value_size);

/**
 * Writes everything on all active nodes, or nothing, and frees the handle, whatever the result.
 *
 * CTDBX_COMMIT_UNKNOWN: it is on all nodes or will be on none. With any other error nothing is
 * written.
 */
int ctdbx_commit(struct ctdbx_transaction *transaction, int timeout);

/**
 * Ends a transaction without writing anything and frees its handle; NULL is fine.
 */
void ctdbx_cancel(struct ctdbx_transaction *transaction);

/**
 * Takes a global lock, waiting for those who have it, in the order of asking. `mode`: CTDBX_READ or
 * CTDBX_WRITE. The name is bytes; those of Samba's own tools are texts with their NUL counted.
 * A lock that is taken twice waits for itself.
 *
 * `*lock` is to be given to ctdbx_g_unlock() in the end. The lock of a process that dies, or whose
 * connection ends, is found out and taken by those who wait.
 */
int ctdbx_g_lock(const struct ctdbx_client *client,
                 const void *name,
                 size_t size,
                 int mode,
                 int timeout,
                 struct ctdbx_global_lock **lock);

/**
 * Releases a global lock and frees its handle, whatever the result: when this returns
 * successfully, it is another's or free; otherwise others find out that it is.
 */
int ctdbx_g_unlock(struct ctdbx_global_lock *lock, int timeout);

/**
 * Begins to show all records of a database, wherever in the cluster they are, in no order. Records
 * that are written meanwhile are shown as they were or as they are, or twice, or not.
 *
 * `*traverse` is to be given to ctdbx_traverse_end() in the end.
 */
int ctdbx_traverse_begin(const struct ctdbx_db *db, int timeout, struct ctdbx_traverse **traverse);

/**
 * The next record. CTDBX_END: there are no more. CTDBX_LIMIT: records came faster than they were
 * taken, and some were lost.
 */
int ctdbx_traverse_next(struct ctdbx_traverse *traverse,
                        int timeout,
                        struct ctdbx_view *key,
                        struct ctdbx_view *value);

/**
 * Ends a traverse, at any time, and frees its handle; NULL is fine.
 */
void ctdbx_traverse_end(struct ctdbx_traverse *traverse);

/**
 * How many clients a node's daemon has; the way to see that it answers.
 */
int ctdbx_ping(const struct ctdbx_client *client, uint32_t node, int timeout, uint32_t *clients);

/**
 * The cluster's leader, who says so each second. CTDBX_TIMED_OUT: there is none now.
 */
int ctdbx_leader(const struct ctdbx_client *client, int timeout, uint32_t *pnn);

/**
 * The nodes as a node sees them.
 */
int ctdbx_nodes(const struct ctdbx_client *client,
                uint32_t node,
                int timeout,
                struct ctdbx_node_list **nodes);

/**
 * The generation of a node, and its lmasters.
 */
int ctdbx_lmasters(const struct ctdbx_client *client,
                   uint32_t node,
                   int timeout,
                   struct ctdbx_vnn_map **map);

/**
 * Whether a node's databases can be used: 0 if so, 1 if a recovery is needed or running.
 */
int ctdbx_recovery_mode(const struct ctdbx_client *client, uint32_t node, int timeout, int *mode);

/**
 * How far a node's daemon has come: CTDBX_STATE_*.
 */
int ctdbx_run_state(const struct ctdbx_client *client, uint32_t node, int timeout, int *state);

/**
 * What a node can do: CTDBX_CAN_* and others.
 */
int ctdbx_capabilities(const struct ctdbx_client *client,
                       uint32_t node,
                       int timeout,
                       uint32_t *capabilities);

/**
 * The process number of a node's daemon.
 */
int ctdbx_daemon_pid(const struct ctdbx_client *client, uint32_t node, int timeout, int *pid);

/**
 * When a node's daemon started, and when the last recovery was.
 */
int ctdbx_uptime(const struct ctdbx_client *client,
                 uint32_t node,
                 int timeout,
                 struct ctdbx_uptime_info *uptime);

/**
 * The public addresses that a node knows, and who hosts them. `only_available`: not those that it
 * could not host now.
 */
int ctdbx_public_ips(const struct ctdbx_client *client,
                     uint32_t node,
                     bool only_available,
                     int timeout,
                     struct ctdbx_public_ip_list **addresses);

/**
 * The interfaces of a node that public addresses can be on.
 */
int ctdbx_interfaces(const struct ctdbx_client *client,
                     uint32_t node,
                     int timeout,
                     struct ctdbx_interface_list **interfaces);

/**
 * The names of the tunables of a node: one text with a line for each, to be freed with
 * ctdbx_free().
 */
int ctdbx_tunables(const struct ctdbx_client *client, uint32_t node, int timeout, char **names);

/**
 * The value of a tunable of a node.
 */
int ctdbx_get_tunable(const struct ctdbx_client *client,
                      uint32_t node,
                      const char *name,
                      int timeout,
                      uint32_t *value);

/**
 * Sets a tunable of a node, until its daemon ends.
 */
int ctdbx_set_tunable(const struct ctdbx_client *client,
                      uint32_t node,
                      const char *name,
                      uint32_t value,
                      int timeout);

/**
 * Whether a process exists on a node and is a client of its daemon.
 */
int ctdbx_process_exists(const struct ctdbx_client *client,
                         uint32_t node,
                         int pid,
                         int timeout,
                         bool *exists);

/**
 * A node's counters as a JSON object, to be freed with ctdbx_free(). Their names are upstream's
 * (ctdb-statistics(7)); more may be added.
 */
int ctdbx_statistics(const struct ctdbx_client *client, uint32_t node, int timeout, char **json);

/**
 * Sends any control, and waits for the answer, whatever its status: docs/wire.md has their numbers
 * and the bytes that belong to each, in the byte order of the machine.
 *
 * `address`: the control's SRVID field, which a few use as an argument. `flags`: the control's
 * flags. `*reply` is to be freed with ctdbx_free().
 */
int ctdbx_control(const struct ctdbx_client *client,
                  uint32_t node,
                  uint32_t opcode,
                  uint64_t address,
                  uint32_t flags,
                  const void *data,
                  size_t size,
                  int timeout,
                  struct ctdbx_reply **reply);

/**
 * Sends a control that nobody answers, perhaps to many nodes (CTDBX_ALL_NODES and its like).
 */
int ctdbx_control_send(const struct ctdbx_client *client,
                       uint32_t node,
                       uint32_t opcode,
                       uint64_t address,
                       uint32_t flags,
                       const void *data,
                       size_t size);

/**
 * Does one of CTDBX_COMMAND_* to a node. The node has noted it when this returns; what follows from
 * it takes its time.
 */
int ctdbx_command(const struct ctdbx_client *client, uint32_t node, int command, int timeout);

/**
 * Bans a node for some seconds; 0 ends the ban.
 */
int ctdbx_ban(const struct ctdbx_client *client, uint32_t node, uint32_t seconds, int timeout);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* CTDBX_H */
