/* SPDX-License-Identifier: LGPL-3.0-or-later */
#include "wrapper.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

typedef void (*sink_fn)(void *sink, int level, const char *text);

/* libtdb logs between a failure and its return: errno belongs to its caller */
void tdb_sys_log(struct tdb_context *tdb, enum tdb_debug_level level, const char *format, ...)
{
	int saved = errno;
	sink_fn *sink = tdb_get_logging_private(tdb);
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (sink != NULL)
		(*sink)(sink, (int)level, text);
	errno = saved;
}
