/* SPDX-License-Identifier: LGPL-3.0-or-later */
/*
 * libctdb: talking to a ctdb daemon, from one thread with a descriptor to poll.
 *
 * Every question has three forms: X_send queues it and has a callback called when the answer is there, X_recv reads
 * the answer, X does both and waits. X_send gives NULL, and the other two false or NULL, on failure; errno says why.
 * The request of X_send is freed with ctdb_request_free. The application's loop polls ctdb_get_fd for
 * ctdb_which_events and calls ctdb_service.
 *
 * Made by `cargo xtask headers` of libctdb-ffi/src/classic.
 */

#ifndef _CTDB_H
#define _CTDB_H

#include <sys/types.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <tdb.h>
#include <ctdb_protocol.h>

/*
 * The log function of an application: log_priv as it was given to ctdb_connect, a severity of syslog(3), and what
 * printf(3) takes. errno is that of the failure that is logged.
 */
typedef void (*ctdb_log_fn_t)(void *log_priv, int severity, const char *format, va_list ap);

#ifdef __cplusplus
extern "C" {
#endif

/* One that writes lines to a stream: ctdb_connect(addr, ctdb_log_file, stderr). */
void ctdb_log_file(FILE *out, int severity, const char *format, va_list ap);

/* Severities up to this one are logged; at first LOG_WARNING. */
extern int ctdb_log_level;

#ifdef __cplusplus
}
#endif


/*
 A record.
 */
#define TRAVERSE_STATUS_RECORD 0

/*
 There are no more records.
 */
#define TRAVERSE_STATUS_FINISHED 1

/*
 The traverse has failed; nothing more comes.
 */
#define TRAVERSE_STATUS_ERROR 2

/*
 The public addresses of a node: see `ctdb_protocol.h`.
 */
struct ctdb_all_public_ips;

/*
 A connection to a ctdb daemon.
 */
struct ctdb_connection;

/*
 An attached database.
 */
struct ctdb_db;

/*
 Counters of a database: see `ctdb_protocol.h`.
 */
struct ctdb_db_statistics;

/*
 The interfaces of a node: see `ctdb_protocol.h`.
 */
struct ctdb_ifaces_list;

/*
 A record that is locked.
 */
struct ctdb_lock;

/*
 All nodes and their states: see `ctdb_protocol.h`.
 */
struct ctdb_node_map;

/*
 A question that the daemon has not answered, or whose answer was not freed.
 */
struct ctdb_request;

/*
 The generation and its lmasters: see `ctdb_protocol.h`.
 */
struct ctdb_vnn_map;

/*
 What a `ctdb_..._send` calls when the answer is there.
 */
typedef void (*ctdb_callback_t)(struct ctdb_connection *ctdb,
                                struct ctdb_request *req,
                                void *private_data);

/*
 What `ctdb_readrecordlock_async` calls.
 */
typedef void (*ctdb_rrl_callback_t)(struct ctdb_db *ctdb_db,
                                    struct ctdb_lock *lock,
                                    TDB_DATA data,
                                    void *private_data);

/*
 What a traverse calls: for each record, and once at its end.
 */
typedef int (*ctdb_traverse_callback_t)(struct ctdb_connection *ctdb,
                                        struct ctdb_db *ctdb_db,
                                        int status,
                                        TDB_DATA key,
                                        TDB_DATA data,
                                        void *private_data);

/*
 What is called for a message; its bytes are good until it returns.
 */
typedef void (*ctdb_message_fn_t)(struct ctdb_connection *ctdb,
                                  uint64_t srvid,
                                  TDB_DATA data,
                                  void *private_data);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

extern void libctdb_shim_log(ctdb_log_fn_t function,
                             void *log_priv,
                             int severity,
                             const char *text);

/*
 Connects to the daemon whose socket is at `addr`, or at the default place if that is NULL. `log_fn` is
 called with `log_priv` for everything that is to be logged. NULL and errno if it fails.
 */
struct ctdb_connection *ctdb_connect(const char *addr,
                                     ctdb_log_fn_t log_fn,
                                     void *log_priv);

/*
 Ends a connection. What was asked is not answered any more, and its requests are freed. Databases have to be
 detached and locks released before.
 */
void ctdb_disconnect(struct ctdb_connection *ctdb);

/*
 How many requests and messages wait to be written, or for their answer.
 */
int ctdb_num_active(struct ctdb_connection *ctdb);

/*
 How many requests wait for their answer.
 */
int ctdb_num_in_flight(struct ctdb_connection *ctdb);

/*
 How many requests and messages wait to be written.
 */
int ctdb_num_out_queue(struct ctdb_connection *ctdb);

/*
 The descriptor to poll.
 */
int ctdb_get_fd(struct ctdb_connection *ctdb);

/*
 What to poll it for: POLLIN, and POLLOUT if something waits to be written.
 */
int ctdb_which_events(struct ctdb_connection *ctdb);

/*
 Does what poll(2) says is possible, and calls callbacks. It does not wait. False if the connection is lost,
 for ever: disconnect then.
 */
bool ctdb_service(struct ctdb_connection *ctdb,
                  int revents);

/*
 Frees a request that is done, in its callback or later.
 */
void ctdb_request_free(struct ctdb_request *req);

/*
 Gives up a request that is not done: its callback is not called, and it is freed by itself.
 */
void ctdb_cancel(struct ctdb_connection *ctdb, struct ctdb_request *req);

/*
 The number of a node: of the daemon's own if `destnode` is CTDB_CURRENT_NODE.
 */
struct ctdb_request *ctdb_getpnn_send(struct ctdb_connection *ctdb,
                                      uint32_t destnode,
                                      ctdb_callback_t callback,
                                      void *cbdata);

/*
 The answer to it.
 */
bool ctdb_getpnn_recv(struct ctdb_connection *_ctdb, struct ctdb_request *req, uint32_t *pnn);

/*
 Both of them, waiting for the answer.
 */
bool ctdb_getpnn(struct ctdb_connection *ctdb, uint32_t destnode, uint32_t *pnn);

/*
 The leader of the cluster, which was called recovery master. Without one the answer takes 10 seconds, and is false.
 */
struct ctdb_request *ctdb_getrecmaster_send(struct ctdb_connection *ctdb,
                                            uint32_t destnode,
                                            ctdb_callback_t callback,
                                            void *cbdata);

/*
 The answer to it.
 */
bool ctdb_getrecmaster_recv(struct ctdb_connection *_ctdb,
                            struct ctdb_request *req,
                            uint32_t *recmaster);

/*
 Both of them, waiting for the answer.
 */
bool ctdb_getrecmaster(struct ctdb_connection *ctdb, uint32_t destnode, uint32_t *recmaster);

/*
 Whether the databases of a node can be used: 0, or 1 while a recovery is needed or running.
 */
struct ctdb_request *ctdb_getrecmode_send(struct ctdb_connection *ctdb,
                                          uint32_t destnode,
                                          ctdb_callback_t callback,
                                          void *cbdata);

/*
 The answer to it.
 */
bool ctdb_getrecmode_recv(struct ctdb_connection *_ctdb,
                          struct ctdb_request *req,
                          uint32_t *recmode);

/*
 Both of them, waiting for the answer.
 */
bool ctdb_getrecmode(struct ctdb_connection *ctdb, uint32_t destnode, uint32_t *recmode);

/*
 What a node can do: CTDB_CAP_*.
 */
struct ctdb_request *ctdb_getcapabilities_send(struct ctdb_connection *ctdb,
                                               uint32_t destnode,
                                               ctdb_callback_t callback,
                                               void *cbdata);

/*
 The answer to it.
 */
bool ctdb_getcapabilities_recv(struct ctdb_connection *_ctdb,
                               struct ctdb_request *req,
                               uint32_t *capabilities);

/*
 Both of them, waiting for the answer.
 */
bool ctdb_getcapabilities(struct ctdb_connection *ctdb, uint32_t destnode, uint32_t *capabilities);

/*
 All nodes and their states.
 */
struct ctdb_request *ctdb_getnodemap_send(struct ctdb_connection *ctdb,
                                          uint32_t destnode,
                                          ctdb_callback_t callback,
                                          void *cbdata);

/*
 The answer to it. Free it with ctdb_free_nodemap.
 */
bool ctdb_getnodemap_recv(struct ctdb_connection *_ctdb,
                          struct ctdb_request *req,
                          struct ctdb_node_map **nodemap);

/*
 Both of them, waiting for the answer. Free it with ctdb_free_nodemap.
 */
bool ctdb_getnodemap(struct ctdb_connection *ctdb,
                     uint32_t destnode,
                     struct ctdb_node_map **nodemap);

/*
 Frees what ctdb_getnodemap or ctdb_getnodemap_recv gave; NULL is nothing to free.
 */
void ctdb_free_nodemap(struct ctdb_node_map *nodemap);

/*
 The public addresses that a node can host, and which node does.
 */
struct ctdb_request *ctdb_getpublicips_send(struct ctdb_connection *ctdb,
                                            uint32_t destnode,
                                            ctdb_callback_t callback,
                                            void *cbdata);

/*
 The answer to it. Free it with ctdb_free_publicips.
 */
bool ctdb_getpublicips_recv(struct ctdb_connection *_ctdb,
                            struct ctdb_request *req,
                            struct ctdb_all_public_ips **ips);

/*
 Both of them, waiting for the answer. Free it with ctdb_free_publicips.
 */
bool ctdb_getpublicips(struct ctdb_connection *ctdb,
                       uint32_t destnode,
                       struct ctdb_all_public_ips **ips);

/*
 Frees what ctdb_getpublicips or ctdb_getpublicips_recv gave; NULL is nothing to free.
 */
void ctdb_free_publicips(struct ctdb_all_public_ips *ips);

/*
 The interfaces of a node that public addresses can be on.
 */
struct ctdb_request *ctdb_getifaces_send(struct ctdb_connection *ctdb,
                                         uint32_t destnode,
                                         ctdb_callback_t callback,
                                         void *cbdata);

/*
 The answer to it. Free it with ctdb_free_ifaces.
 */
bool ctdb_getifaces_recv(struct ctdb_connection *_ctdb,
                         struct ctdb_request *req,
                         struct ctdb_ifaces_list **ifaces);

/*
 Both of them, waiting for the answer. Free it with ctdb_free_ifaces.
 */
bool ctdb_getifaces(struct ctdb_connection *ctdb,
                    uint32_t destnode,
                    struct ctdb_ifaces_list **ifaces);

/*
 Frees what ctdb_getifaces or ctdb_getifaces_recv gave; NULL is nothing to free.
 */
void ctdb_free_ifaces(struct ctdb_ifaces_list *ifaces);

/*
 The generation of the cluster and its lmasters.
 */
struct ctdb_request *ctdb_getvnnmap_send(struct ctdb_connection *ctdb,
                                         uint32_t destnode,
                                         ctdb_callback_t callback,
                                         void *cbdata);

/*
 The answer to it. Free it with ctdb_free_vnnmap.
 */
bool ctdb_getvnnmap_recv(struct ctdb_connection *_ctdb,
                         struct ctdb_request *req,
                         struct ctdb_vnn_map **vnnmap);

/*
 Both of them, waiting for the answer. Free it with ctdb_free_vnnmap.
 */
bool ctdb_getvnnmap(struct ctdb_connection *ctdb, uint32_t destnode, struct ctdb_vnn_map **vnnmap);

/*
 Frees what ctdb_getvnnmap or ctdb_getvnnmap_recv gave; NULL is nothing to free.
 */
void ctdb_free_vnnmap(struct ctdb_vnn_map *vnnmap);

/*
 How many transactions a persistent database has seen.
 */
struct ctdb_request *ctdb_getdbseqnum_send(struct ctdb_connection *ctdb,
                                           uint32_t destnode,
                                           uint32_t dbid,
                                           ctdb_callback_t callback,
                                           void *cbdata);

/*
 The answer to it.
 */
bool ctdb_getdbseqnum_recv(struct ctdb_connection *_ctdb,
                           struct ctdb_request *req,
                           uint64_t *seqnum);

/*
 Both of them, waiting for the answer.
 */
bool ctdb_getdbseqnum(struct ctdb_connection *ctdb,
                      uint32_t destnode,
                      uint32_t dbid,
                      uint64_t *seqnum);

/*
 The counters of a database on a node.
 */
struct ctdb_request *ctdb_getdbstat_send(struct ctdb_connection *ctdb,
                                         uint32_t destnode,
                                         uint32_t db_id,
                                         ctdb_callback_t callback,
                                         void *cbdata);

/*
 The answer to it. Free it with ctdb_free_dbstat.
 */
bool ctdb_getdbstat_recv(struct ctdb_connection *_ctdb,
                         struct ctdb_request *req,
                         struct ctdb_db_statistics **stat);

/*
 Both of them, waiting for the answer. Free it with ctdb_free_dbstat.
 */
bool ctdb_getdbstat(struct ctdb_connection *ctdb,
                    uint32_t destnode,
                    uint32_t db_id,
                    struct ctdb_db_statistics **stat);

/*
 Frees what ctdb_getdbstat or ctdb_getdbstat_recv gave; NULL is nothing to free.
 */
void ctdb_free_dbstat(struct ctdb_db_statistics *stat);

/*
 Which of `num` addresses are registered on a node. C's daemon since 4.8 cannot say, which is EOPNOTSUPP:
 CHECK_PID_SRVID, which it has instead, wants to know the process.
 */
struct ctdb_request *ctdb_check_message_handlers_send(struct ctdb_connection *ctdb,
                                                      uint32_t destnode,
                                                      uint32_t num,
                                                      uint64_t *mhs,
                                                      ctdb_callback_t callback,
                                                      void *cbdata);

/*
 The answer to it: for each of the `num` addresses a byte in `result`, 1 if it is registered.
 */
bool ctdb_check_message_handlers_recv(struct ctdb_connection *_ctdb,
                                      struct ctdb_request *req,
                                      uint32_t num,
                                      uint8_t *result);

/*
 Both of them, waiting for the answer.
 */
bool ctdb_check_message_handlers(struct ctdb_connection *ctdb,
                                 uint32_t destnode,
                                 uint32_t num,
                                 uint64_t *mhs,
                                 uint8_t *result);

/*
 Attaches a database, which is created if need be. `tdb_flags` are handed to the daemon; 0 will do.
 */
struct ctdb_request *ctdb_attachdb_send(struct ctdb_connection *ctdb,
                                        const char *name,
                                        bool persistent,
                                        uint32_t tdb_flags,
                                        ctdb_callback_t callback,
                                        void *cbdata);

/*
 The database, opened; NULL and errno if that is not possible. A process opens a database once.
 */
struct ctdb_db *ctdb_attachdb_recv(struct ctdb_connection *ctdb, struct ctdb_request *req);

/*
 Both of them, waiting for the answers.
 */
struct ctdb_db *ctdb_attachdb(struct ctdb_connection *ctdb,
                              const char *name,
                              bool persistent,
                              uint32_t tdb_flags);

/*
 Closes a database; the daemon keeps it. What is locked in it is released, and what was asked about it is not
 answered any more.
 */
void ctdb_detachdb(struct ctdb_connection *_ctdb,
                   struct ctdb_db *db);

/*
 Locks a record for writing, having it moved to this node if it is elsewhere. The callback has the lock and
 the value, which is good until the lock is released; it is called at once if the record is here. A lock that is
 NULL tells of a failure. One record a connection: false while one is locked.
 */
bool ctdb_readrecordlock_async(struct ctdb_db *ctdb_db,
                               TDB_DATA key,
                               ctdb_rrl_callback_t callback,
                               void *cbdata);

/*
 The same for reading only: a copy that is lent to this node will do.
 */
bool ctdb_readonlyrecordlock_async(struct ctdb_db *ctdb_db,
                                   TDB_DATA key,
                                   ctdb_rrl_callback_t callback,
                                   void *cbdata);

/*
 Locks a record for writing and waits until it is here. NULL if that fails, or while another one is locked.
 */
struct ctdb_lock *ctdb_readrecordlock(struct ctdb_connection *ctdb,
                                      struct ctdb_db *ctdb_db,
                                      TDB_DATA key,
                                      TDB_DATA *data);

/*
 Writes the value of a record that is locked, and keeps the lock. False and errno if it is locked for reading
 or not any more (EBADF), or the database is persistent (EINVAL).
 */
bool ctdb_writerecord(struct ctdb_db *ctdb_db,
                      struct ctdb_lock *lock,
                      TDB_DATA data);

/*
 Releases a record, as soon as possible: other processes of the node wait for it.
 */
void ctdb_release_lock(struct ctdb_db *ctdb_db, struct ctdb_lock *lock);

/*
 Shows all records of a database, wherever in the cluster they are: the callback is called for each, and then
 once more for the end or a failure. If it returns something else than 0, it is not called any more.
 */
bool ctdb_traverse_async(struct ctdb_db *ctdb_db,
                         ctdb_traverse_callback_t callback,
                         void *cbdata);

/*
 Asks for the messages to an address. `handler` is called with `handler_data` once the answer was received.
 */
struct ctdb_request *ctdb_set_message_handler_send(struct ctdb_connection *ctdb,
                                                   uint64_t srvid,
                                                   ctdb_message_fn_t handler,
                                                   void *handler_data,
                                                   ctdb_callback_t callback,
                                                   void *cbdata);

/*
 Whether the daemon sends these messages. From now on the handler is called.
 */
bool ctdb_set_message_handler_recv(struct ctdb_connection *ctdb, struct ctdb_request *req);

/*
 Both of them, waiting for the answer.
 */
bool ctdb_set_message_handler(struct ctdb_connection *ctdb,
                              uint64_t srvid,
                              ctdb_message_fn_t handler,
                              void *cbdata);

/*
 Asks for no more messages to an address. Address, function and its data are those of the registration; if
 there is none, NULL and ENOENT.
 */
struct ctdb_request *ctdb_remove_message_handler_send(struct ctdb_connection *ctdb,
                                                      uint64_t srvid,
                                                      ctdb_message_fn_t handler,
                                                      void *handler_data,
                                                      ctdb_callback_t callback,
                                                      void *cbdata);

/*
 Whether the daemon agrees.
 */
bool ctdb_remove_message_handler_recv(struct ctdb_connection *ctdb, struct ctdb_request *req);

/*
 Both of them, waiting for the answer.
 */
bool ctdb_remove_message_handler(struct ctdb_connection *ctdb,
                                 uint64_t srvid,
                                 ctdb_message_fn_t handler,
                                 void *handler_data);

/*
 Queues a message to an address on a node, or on several. There is no answer.
 */
bool ctdb_send_message(struct ctdb_connection *ctdb, uint32_t pnn, uint64_t srvid, TDB_DATA data);

/*
 Connects to the daemon whose socket is at `addr`, or at the default place if that is NULL. `log_fn` is
 called with `log_priv` for everything that is to be logged. NULL and errno if it fails.
 */
struct ctdb_connection *ctdb_connect(const char *addr,
                                     ctdb_log_fn_t log_fn,
                                     void *log_priv);

/*
 Ends a connection. What was asked is not answered any more, and its requests are freed. Databases have to be
 detached and locks released before.
 */
void ctdb_disconnect(struct ctdb_connection *ctdb);

/*
 How many requests and messages wait to be written, or for their answer.
 */
int ctdb_num_active(struct ctdb_connection *ctdb);

/*
 How many requests wait for their answer.
 */
int ctdb_num_in_flight(struct ctdb_connection *ctdb);

/*
 How many requests and messages wait to be written.
 */
int ctdb_num_out_queue(struct ctdb_connection *ctdb);

/*
 The descriptor to poll.
 */
int ctdb_get_fd(struct ctdb_connection *ctdb);

/*
 What to poll it for: POLLIN, and POLLOUT if something waits to be written.
 */
int ctdb_which_events(struct ctdb_connection *ctdb);

/*
 Does what poll(2) says is possible, and calls callbacks. It does not wait. False if the connection is lost,
 for ever: disconnect then.
 */
bool ctdb_service(struct ctdb_connection *ctdb,
                  int revents);

/*
 Frees a request that is done, in its callback or later.
 */
void ctdb_request_free(struct ctdb_request *req);

/*
 Gives up a request that is not done: its callback is not called, and it is freed by itself.
 */
void ctdb_cancel(struct ctdb_connection *ctdb, struct ctdb_request *req);

/*
 The number of a node: of the daemon's own if `destnode` is CTDB_CURRENT_NODE.
 */
struct ctdb_request *ctdb_getpnn_send(struct ctdb_connection *ctdb,
                                      uint32_t destnode,
                                      ctdb_callback_t callback,
                                      void *cbdata);

/*
 The answer to it.
 */
bool ctdb_getpnn_recv(struct ctdb_connection *_ctdb, struct ctdb_request *req, uint32_t *pnn);

/*
 Both of them, waiting for the answer.
 */
bool ctdb_getpnn(struct ctdb_connection *ctdb, uint32_t destnode, uint32_t *pnn);

/*
 The leader of the cluster, which was called recovery master. Without one the answer takes 10 seconds, and is false.
 */
struct ctdb_request *ctdb_getrecmaster_send(struct ctdb_connection *ctdb,
                                            uint32_t destnode,
                                            ctdb_callback_t callback,
                                            void *cbdata);

/*
 The answer to it.
 */
bool ctdb_getrecmaster_recv(struct ctdb_connection *_ctdb,
                            struct ctdb_request *req,
                            uint32_t *recmaster);

/*
 Both of them, waiting for the answer.
 */
bool ctdb_getrecmaster(struct ctdb_connection *ctdb, uint32_t destnode, uint32_t *recmaster);

/*
 Whether the databases of a node can be used: 0, or 1 while a recovery is needed or running.
 */
struct ctdb_request *ctdb_getrecmode_send(struct ctdb_connection *ctdb,
                                          uint32_t destnode,
                                          ctdb_callback_t callback,
                                          void *cbdata);

/*
 The answer to it.
 */
bool ctdb_getrecmode_recv(struct ctdb_connection *_ctdb,
                          struct ctdb_request *req,
                          uint32_t *recmode);

/*
 Both of them, waiting for the answer.
 */
bool ctdb_getrecmode(struct ctdb_connection *ctdb, uint32_t destnode, uint32_t *recmode);

/*
 What a node can do: CTDB_CAP_*.
 */
struct ctdb_request *ctdb_getcapabilities_send(struct ctdb_connection *ctdb,
                                               uint32_t destnode,
                                               ctdb_callback_t callback,
                                               void *cbdata);

/*
 The answer to it.
 */
bool ctdb_getcapabilities_recv(struct ctdb_connection *_ctdb,
                               struct ctdb_request *req,
                               uint32_t *capabilities);

/*
 Both of them, waiting for the answer.
 */
bool ctdb_getcapabilities(struct ctdb_connection *ctdb, uint32_t destnode, uint32_t *capabilities);

/*
 All nodes and their states.
 */
struct ctdb_request *ctdb_getnodemap_send(struct ctdb_connection *ctdb,
                                          uint32_t destnode,
                                          ctdb_callback_t callback,
                                          void *cbdata);

/*
 The answer to it. Free it with ctdb_free_nodemap.
 */
bool ctdb_getnodemap_recv(struct ctdb_connection *_ctdb,
                          struct ctdb_request *req,
                          struct ctdb_node_map **nodemap);

/*
 Both of them, waiting for the answer. Free it with ctdb_free_nodemap.
 */
bool ctdb_getnodemap(struct ctdb_connection *ctdb,
                     uint32_t destnode,
                     struct ctdb_node_map **nodemap);

/*
 Frees what ctdb_getnodemap or ctdb_getnodemap_recv gave; NULL is nothing to free.
 */
void ctdb_free_nodemap(struct ctdb_node_map *nodemap);

/*
 The public addresses that a node can host, and which node does.
 */
struct ctdb_request *ctdb_getpublicips_send(struct ctdb_connection *ctdb,
                                            uint32_t destnode,
                                            ctdb_callback_t callback,
                                            void *cbdata);

/*
 The answer to it. Free it with ctdb_free_publicips.
 */
bool ctdb_getpublicips_recv(struct ctdb_connection *_ctdb,
                            struct ctdb_request *req,
                            struct ctdb_all_public_ips **ips);

/*
 Both of them, waiting for the answer. Free it with ctdb_free_publicips.
 */
bool ctdb_getpublicips(struct ctdb_connection *ctdb,
                       uint32_t destnode,
                       struct ctdb_all_public_ips **ips);

/*
 Frees what ctdb_getpublicips or ctdb_getpublicips_recv gave; NULL is nothing to free.
 */
void ctdb_free_publicips(struct ctdb_all_public_ips *ips);

/*
 The interfaces of a node that public addresses can be on.
 */
struct ctdb_request *ctdb_getifaces_send(struct ctdb_connection *ctdb,
                                         uint32_t destnode,
                                         ctdb_callback_t callback,
                                         void *cbdata);

/*
 The answer to it. Free it with ctdb_free_ifaces.
 */
bool ctdb_getifaces_recv(struct ctdb_connection *_ctdb,
                         struct ctdb_request *req,
                         struct ctdb_ifaces_list **ifaces);

/*
 Both of them, waiting for the answer. Free it with ctdb_free_ifaces.
 */
bool ctdb_getifaces(struct ctdb_connection *ctdb,
                    uint32_t destnode,
                    struct ctdb_ifaces_list **ifaces);

/*
 Frees what ctdb_getifaces or ctdb_getifaces_recv gave; NULL is nothing to free.
 */
void ctdb_free_ifaces(struct ctdb_ifaces_list *ifaces);

/*
 The generation of the cluster and its lmasters.
 */
struct ctdb_request *ctdb_getvnnmap_send(struct ctdb_connection *ctdb,
                                         uint32_t destnode,
                                         ctdb_callback_t callback,
                                         void *cbdata);

/*
 The answer to it. Free it with ctdb_free_vnnmap.
 */
bool ctdb_getvnnmap_recv(struct ctdb_connection *_ctdb,
                         struct ctdb_request *req,
                         struct ctdb_vnn_map **vnnmap);

/*
 Both of them, waiting for the answer. Free it with ctdb_free_vnnmap.
 */
bool ctdb_getvnnmap(struct ctdb_connection *ctdb, uint32_t destnode, struct ctdb_vnn_map **vnnmap);

/*
 Frees what ctdb_getvnnmap or ctdb_getvnnmap_recv gave; NULL is nothing to free.
 */
void ctdb_free_vnnmap(struct ctdb_vnn_map *vnnmap);

/*
 How many transactions a persistent database has seen.
 */
struct ctdb_request *ctdb_getdbseqnum_send(struct ctdb_connection *ctdb,
                                           uint32_t destnode,
                                           uint32_t dbid,
                                           ctdb_callback_t callback,
                                           void *cbdata);

/*
 The answer to it.
 */
bool ctdb_getdbseqnum_recv(struct ctdb_connection *_ctdb,
                           struct ctdb_request *req,
                           uint64_t *seqnum);

/*
 Both of them, waiting for the answer.
 */
bool ctdb_getdbseqnum(struct ctdb_connection *ctdb,
                      uint32_t destnode,
                      uint32_t dbid,
                      uint64_t *seqnum);

/*
 The counters of a database on a node.
 */
struct ctdb_request *ctdb_getdbstat_send(struct ctdb_connection *ctdb,
                                         uint32_t destnode,
                                         uint32_t db_id,
                                         ctdb_callback_t callback,
                                         void *cbdata);

/*
 The answer to it. Free it with ctdb_free_dbstat.
 */
bool ctdb_getdbstat_recv(struct ctdb_connection *_ctdb,
                         struct ctdb_request *req,
                         struct ctdb_db_statistics **stat);

/*
 Both of them, waiting for the answer. Free it with ctdb_free_dbstat.
 */
bool ctdb_getdbstat(struct ctdb_connection *ctdb,
                    uint32_t destnode,
                    uint32_t db_id,
                    struct ctdb_db_statistics **stat);

/*
 Frees what ctdb_getdbstat or ctdb_getdbstat_recv gave; NULL is nothing to free.
 */
void ctdb_free_dbstat(struct ctdb_db_statistics *stat);

/*
 Which of `num` addresses are registered on a node. C's daemon since 4.8 cannot say, which is EOPNOTSUPP:
 CHECK_PID_SRVID, which it has instead, wants to know the process.
 */
struct ctdb_request *ctdb_check_message_handlers_send(struct ctdb_connection *ctdb,
                                                      uint32_t destnode,
                                                      uint32_t num,
                                                      uint64_t *mhs,
                                                      ctdb_callback_t callback,
                                                      void *cbdata);

/*
 The answer to it: for each of the `num` addresses a byte in `result`, 1 if it is registered.
 */
bool ctdb_check_message_handlers_recv(struct ctdb_connection *_ctdb,
                                      struct ctdb_request *req,
                                      uint32_t num,
                                      uint8_t *result);

/*
 Both of them, waiting for the answer.
 */
bool ctdb_check_message_handlers(struct ctdb_connection *ctdb,
                                 uint32_t destnode,
                                 uint32_t num,
                                 uint64_t *mhs,
                                 uint8_t *result);

/*
 Attaches a database, which is created if need be. `tdb_flags` are handed to the daemon; 0 will do.
 */
struct ctdb_request *ctdb_attachdb_send(struct ctdb_connection *ctdb,
                                        const char *name,
                                        bool persistent,
                                        uint32_t tdb_flags,
                                        ctdb_callback_t callback,
                                        void *cbdata);

/*
 The database, opened; NULL and errno if that is not possible. A process opens a database once.
 */
struct ctdb_db *ctdb_attachdb_recv(struct ctdb_connection *ctdb, struct ctdb_request *req);

/*
 Both of them, waiting for the answers.
 */
struct ctdb_db *ctdb_attachdb(struct ctdb_connection *ctdb,
                              const char *name,
                              bool persistent,
                              uint32_t tdb_flags);

/*
 Closes a database; the daemon keeps it. What is locked in it is released, and what was asked about it is not
 answered any more.
 */
void ctdb_detachdb(struct ctdb_connection *_ctdb,
                   struct ctdb_db *db);

/*
 Locks a record for writing, having it moved to this node if it is elsewhere. The callback has the lock and
 the value, which is good until the lock is released; it is called at once if the record is here. A lock that is
 NULL tells of a failure. One record a connection: false while one is locked.
 */
bool ctdb_readrecordlock_async(struct ctdb_db *ctdb_db,
                               TDB_DATA key,
                               ctdb_rrl_callback_t callback,
                               void *cbdata);

/*
 The same for reading only: a copy that is lent to this node will do.
 */
bool ctdb_readonlyrecordlock_async(struct ctdb_db *ctdb_db,
                                   TDB_DATA key,
                                   ctdb_rrl_callback_t callback,
                                   void *cbdata);

/*
 Locks a record for writing and waits until it is here. NULL if that fails, or while another one is locked.
 */
struct ctdb_lock *ctdb_readrecordlock(struct ctdb_connection *ctdb,
                                      struct ctdb_db *ctdb_db,
                                      TDB_DATA key,
                                      TDB_DATA *data);

/*
 Writes the value of a record that is locked, and keeps the lock. False and errno if it is locked for reading
 or not any more (EBADF), or the database is persistent (EINVAL).
 */
bool ctdb_writerecord(struct ctdb_db *ctdb_db,
                      struct ctdb_lock *lock,
                      TDB_DATA data);

/*
 Releases a record, as soon as possible: other processes of the node wait for it.
 */
void ctdb_release_lock(struct ctdb_db *ctdb_db, struct ctdb_lock *lock);

/*
 Shows all records of a database, wherever in the cluster they are: the callback is called for each, and then
 once more for the end or a failure. If it returns something else than 0, it is not called any more.
 */
bool ctdb_traverse_async(struct ctdb_db *ctdb_db,
                         ctdb_traverse_callback_t callback,
                         void *cbdata);

/*
 Asks for the messages to an address. `handler` is called with `handler_data` once the answer was received.
 */
struct ctdb_request *ctdb_set_message_handler_send(struct ctdb_connection *ctdb,
                                                   uint64_t srvid,
                                                   ctdb_message_fn_t handler,
                                                   void *handler_data,
                                                   ctdb_callback_t callback,
                                                   void *cbdata);

/*
 Whether the daemon sends these messages. From now on the handler is called.
 */
bool ctdb_set_message_handler_recv(struct ctdb_connection *ctdb, struct ctdb_request *req);

/*
 Both of them, waiting for the answer.
 */
bool ctdb_set_message_handler(struct ctdb_connection *ctdb,
                              uint64_t srvid,
                              ctdb_message_fn_t handler,
                              void *cbdata);

/*
 Asks for no more messages to an address. Address, function and its data are those of the registration; if
 there is none, NULL and ENOENT.
 */
struct ctdb_request *ctdb_remove_message_handler_send(struct ctdb_connection *ctdb,
                                                      uint64_t srvid,
                                                      ctdb_message_fn_t handler,
                                                      void *handler_data,
                                                      ctdb_callback_t callback,
                                                      void *cbdata);

/*
 Whether the daemon agrees.
 */
bool ctdb_remove_message_handler_recv(struct ctdb_connection *ctdb, struct ctdb_request *req);

/*
 Both of them, waiting for the answer.
 */
bool ctdb_remove_message_handler(struct ctdb_connection *ctdb,
                                 uint64_t srvid,
                                 ctdb_message_fn_t handler,
                                 void *handler_data);

/*
 Queues a message to an address on a node, or on several. There is no answer.
 */
bool ctdb_send_message(struct ctdb_connection *ctdb, uint32_t pnn, uint64_t srvid, TDB_DATA data);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* _CTDB_H */

/* Callbacks are converted to the right type: see ctdb_typesafe_cb.h. To do without, #undef these. */
#include <ctdb_typesafe_cb.h>

#define ctdb_sendcb(cb, cbdata) \
	typesafe_cb_preargs(void, (cb), (cbdata), struct ctdb_connection *, struct ctdb_request *)

#define ctdb_msgcb(cb, cbdata) \
	typesafe_cb_preargs(void, (cb), (cbdata), struct ctdb_connection *, uint64_t, TDB_DATA)

#define ctdb_rrlcb(cb, cbdata) \
	typesafe_cb_preargs(void, (cb), (cbdata), struct ctdb_db *, struct ctdb_lock *, TDB_DATA)

#define ctdb_traversecb(cb, cbdata)                                                                \
	typesafe_cb_preargs(int, (cb), (cbdata), struct ctdb_connection *, struct ctdb_db *, int, \
			    TDB_DATA, TDB_DATA)

#define ctdb_connect(addr, log, logpriv)                                                            \
	ctdb_connect((addr),                                                                         \
		     typesafe_cb_postargs(void, (log), (logpriv), int, const char *, va_list), (logpriv))

#define ctdb_set_message_handler(ctdb, srvid, handler, hdata) \
	ctdb_set_message_handler((ctdb), (srvid), ctdb_msgcb((handler), (hdata)), (hdata))

#define ctdb_remove_message_handler(ctdb, srvid, handler, hdata) \
	ctdb_remove_message_handler((ctdb), (srvid), ctdb_msgcb((handler), (hdata)), (hdata))

#define ctdb_set_message_handler_send(ctdb, srvid, handler, hdata, cb, cbdata)                        \
	ctdb_set_message_handler_send((ctdb), (srvid), ctdb_msgcb((handler), (hdata)), (hdata),        \
				      ctdb_sendcb((cb), (cbdata)), (cbdata))

#define ctdb_remove_message_handler_send(ctdb, srvid, handler, hdata, cb, cbdata)                        \
	ctdb_remove_message_handler_send((ctdb), (srvid), ctdb_msgcb((handler), (hdata)), (hdata),        \
					 ctdb_sendcb((cb), (cbdata)), (cbdata))

#define ctdb_attachdb_send(ctdb, name, persistent, tdb_flags, cb, cbdata)                     \
	ctdb_attachdb_send((ctdb), (name), (persistent), (tdb_flags), ctdb_sendcb((cb), (cbdata)), \
			   (cbdata))

#define ctdb_readrecordlock_async(db, key, cb, cbdata) \
	ctdb_readrecordlock_async((db), (key), ctdb_rrlcb((cb), (cbdata)), (cbdata))

#define ctdb_readonlyrecordlock_async(db, key, cb, cbdata) \
	ctdb_readonlyrecordlock_async((db), (key), ctdb_rrlcb((cb), (cbdata)), (cbdata))

#define ctdb_traverse_async(db, cb, cbdata) \
	ctdb_traverse_async((db), ctdb_traversecb((cb), (cbdata)), (cbdata))

#define ctdb_check_message_handlers_send(ctdb, destnode, num, mhs, cb, cbdata)                      \
	ctdb_check_message_handlers_send((ctdb), (destnode), (num), (mhs), ctdb_sendcb((cb), (cbdata)), \
					 (cbdata))

#define ctdb_getpnn_send(ctdb, destnode, cb, cbdata) \
	ctdb_getpnn_send((ctdb), (destnode), ctdb_sendcb((cb), (cbdata)), (cbdata))

#define ctdb_getcapabilities_send(ctdb, destnode, cb, cbdata) \
	ctdb_getcapabilities_send((ctdb), (destnode), ctdb_sendcb((cb), (cbdata)), (cbdata))

#define ctdb_getrecmaster_send(ctdb, destnode, cb, cbdata) \
	ctdb_getrecmaster_send((ctdb), (destnode), ctdb_sendcb((cb), (cbdata)), (cbdata))

#define ctdb_getrecmode_send(ctdb, destnode, cb, cbdata) \
	ctdb_getrecmode_send((ctdb), (destnode), ctdb_sendcb((cb), (cbdata)), (cbdata))

#define ctdb_getnodemap_send(ctdb, destnode, cb, cbdata) \
	ctdb_getnodemap_send((ctdb), (destnode), ctdb_sendcb((cb), (cbdata)), (cbdata))

#define ctdb_getpublicips_send(ctdb, destnode, cb, cbdata) \
	ctdb_getpublicips_send((ctdb), (destnode), ctdb_sendcb((cb), (cbdata)), (cbdata))

#define ctdb_getifaces_send(ctdb, destnode, cb, cbdata) \
	ctdb_getifaces_send((ctdb), (destnode), ctdb_sendcb((cb), (cbdata)), (cbdata))

#define ctdb_getvnnmap_send(ctdb, destnode, cb, cbdata) \
	ctdb_getvnnmap_send((ctdb), (destnode), ctdb_sendcb((cb), (cbdata)), (cbdata))

#define ctdb_getdbseqnum_send(ctdb, destnode, dbid, cb, cbdata) \
	ctdb_getdbseqnum_send((ctdb), (destnode), (dbid), ctdb_sendcb((cb), (cbdata)), (cbdata))

#define ctdb_getdbstat_send(ctdb, destnode, db_id, cb, cbdata) \
	ctdb_getdbstat_send((ctdb), (destnode), (db_id), ctdb_sendcb((cb), (cbdata)), (cbdata))
