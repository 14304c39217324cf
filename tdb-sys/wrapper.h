/* tdb.h uses types of these headers without including them. */
#include <sys/types.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <tdb.h>
