/* SPDX-License-Identifier: LGPL-3.0-or-later */
/* The level is this program's variable; the log function gets what printf takes. */
#include <stdarg.h>
#include "check.h"

struct lines {
	int at[8];
	char last[200];
};

static void note(struct lines *lines, int severity, const char *format, va_list ap)
{
	CHECK(severity >= 0 && severity < 8);
	lines->at[severity]++;
	vsnprintf(lines->last, sizeof(lines->last), format, ap);
}

int main(int argc, char **argv)
{
	static struct lines lines;
	struct ctdb_connection *ctdb;
	uint32_t pnn;

	CHECK(argc > 1 && ctdb_log_level == LOG_WARNING);
	ctdb = ctdb_connect(argv[1], note, &lines);
	CHECK(ctdb != NULL && ctdb_getpnn(ctdb, CTDB_CURRENT_NODE, &pnn));
	CHECK(lines.at[LOG_DEBUG] == 0);
	ctdb_log_level = LOG_DEBUG;
	CHECK(ctdb_getpnn(ctdb, CTDB_CURRENT_NODE, &pnn));
	CHECK(lines.at[LOG_DEBUG] > 0 && strlen(lines.last) > 5);
	CHECK(lines.at[LOG_ALERT] == 0 && lines.at[LOG_ERR] == 0);
	CHECK(!ctdb_remove_message_handler(ctdb, 1, NULL, NULL) && lines.at[LOG_ALERT] == 1);
	ctdb_log_level = LOG_EMERG;
	CHECK(!ctdb_remove_message_handler(ctdb, 1, NULL, NULL) && lines.at[LOG_ALERT] == 1);
	ctdb_disconnect(ctdb);
	/* without a log function nothing is logged */
	ctdb_log_level = LOG_DEBUG;
	ctdb = ctdb_connect(argv[1], NULL, NULL);
	CHECK(ctdb != NULL && ctdb_getpnn(ctdb, CTDB_CURRENT_NODE, &pnn));
	ctdb_disconnect(ctdb);
	return 0;
}
