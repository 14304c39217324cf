/* What the programs of the tests share: every call is checked, and says what went wrong. */

#ifndef WIDE_H
#define WIDE_H

#include <ctdbx.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How long anything may take, in milliseconds. */
#define LIMIT 30000

#define check(condition)                                                          \
	do {                                                                      \
		if (!(condition)) {                                               \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__,       \
				#condition);                                      \
			exit(1);                                                  \
		}                                                                 \
	} while (0)

#define expect(wanted, call)                                                      \
	do {                                                                      \
		int result_ = (call);                                             \
		if (result_ != (wanted)) {                                        \
			fprintf(stderr, "%s:%d: %s: %s (%s)\n", __FILE__,         \
				__LINE__, #call, ctdbx_strerror(result_),         \
				result_ ? ctdbx_error_text() : "");               \
			exit(1);                                                  \
		}                                                                 \
	} while (0)

#define must(call) expect(CTDBX_OK, call)

/* Text as a key or value: address and size. */
#define TEXT(text) (text), strlen(text)

static inline int equal(struct ctdbx_blob blob, const char *text)
{
	int same = blob.size == strlen(text) && memcmp(blob.data, text, blob.size) == 0;
	ctdbx_free(blob.data);
	return same;
}

/* What an earlier run left, which may have ended anywhere: gone. */
static inline void forget(struct ctdbx_db *db, const char *key)
{
	must(ctdbx_store(db, TEXT(key), NULL, 0, LIMIT));
}

static inline void forget_in_transaction(struct ctdbx_db *db, const char *key)
{
	struct ctdbx_transaction *transaction;

	must(ctdbx_begin(db, CTDBX_WRITE, LIMIT, &transaction));
	must(ctdbx_transaction_store(transaction, TEXT(key), NULL, 0));
	must(ctdbx_commit(transaction, LIMIT));
}

static inline int seen(struct ctdbx_view view, const char *text)
{
	return view.size == strlen(text) && memcmp(view.data, text, view.size) == 0;
}

#endif
