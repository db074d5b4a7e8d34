//! Tests of the whole API over real sockets, and the service they stand on.
