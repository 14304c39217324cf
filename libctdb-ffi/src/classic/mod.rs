//! The interface of `ctdb.h`, CTDB 2.0 to 2.4.
