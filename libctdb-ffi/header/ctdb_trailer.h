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
