//! A safe wrapper of the system libtdb
