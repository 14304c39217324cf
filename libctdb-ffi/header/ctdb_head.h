
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
