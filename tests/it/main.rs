//! Tests of the service from outside its modules, in one binary.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test ends at the first surprise")]
#![expect(clippy::print_stdout, reason = "the long forms print their counts")]

use playproof_batch::store::testing::cluster;

mod abuse;

mod chaos;

mod circles;

mod clients;

mod config;

mod conservation;

mod copy;

mod crash;

mod deploy;

mod disk;

mod docs;

mod dashboard;

mod erasure;

mod evidence;

mod detection;

mod folder;

mod front;

mod determinism;

mod fuzz;

mod kills;

mod layers;

mod nodes;

mod pooler;

mod process;

mod ready;

mod replica;

mod retention;

mod signals;

mod surface;

mod thresholds;

mod trust;

mod woodwide;
