//! Several managers and their daemons in memory, with virtual time.
