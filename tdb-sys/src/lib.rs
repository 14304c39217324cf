//! Bindings of the system libtdb
