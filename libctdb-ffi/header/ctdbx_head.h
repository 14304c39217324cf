
/**
 * Where the daemon listens unless it was told otherwise.
 */
#define CTDBX_SOCKET "/run/ctdb/ctdbd.socket"
