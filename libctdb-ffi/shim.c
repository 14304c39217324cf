/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* What needs a va_list: the applications' log functions take one, and ctdb_log_file is one of them. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

typedef void (*log_fn)(void *log_priv, int severity, const char *format, va_list ap);

static void call(log_fn fn, void *log_priv, int severity, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	fn(log_priv, severity, format, ap);
	va_end(ap);
}

/* Hands one finished line to an application's log function; errno is what it was before. */
void libctdb_shim_log(log_fn fn, void *log_priv, int severity, const char *text)
{
	int saved = errno;

	call(fn, log_priv, severity, "%s", text);
	errno = saved;
}

static const char *severity_name(int severity)
{
	static const char *const names[] = {
		[LOG_EMERG] = "EMERG",     [LOG_ALERT] = "ALERT",   [LOG_CRIT] = "CRIT", [LOG_ERR] = "ERR",
		[LOG_WARNING] = "WARNING", [LOG_NOTICE] = "NOTICE", [LOG_INFO] = "INFO", [LOG_DEBUG] = "DEBUG",
	};

	if (severity < 0 || (size_t)severity >= sizeof(names) / sizeof(names[0]))
		return "Unknown Error Level";
	return names[severity];
}

/* The log function for applications that have none: lines to a stream. */
void ctdb_log_file(FILE *out, int severity, const char *format, va_list ap)
{
	int saved = errno;

	fprintf(out, "%s:", severity_name(severity));
	vfprintf(out, format, ap);
	if (severity == LOG_ERR)
		fprintf(out, " (%s)", strerror(saved));
	fputc('\n', out);
	errno = saved;
}
