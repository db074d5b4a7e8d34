//! Bot generators: families of synthetic sessions for the demo, for load and for tests.
