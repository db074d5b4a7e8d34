//! The part of the contract that the queue is made of, and random histories of its steps.

use std::future::Future;

use super::*;
use crate::contract::{Fixture, at, check_histories_of_the_queue, store_contract};
use crate::testing::intercepted::{Intercepted, Interceptor};

/// Lets every call through.
struct Open;

impl Interceptor for Open {
    fn intercept<T: Send>(
        &self,
        _call: &'static str,
        work: impl Future<Output = StoreResult<T>> + Send,
    ) -> impl Future<Output = StoreResult<T>> + Send {
        work
    }
}

fn fixture(store: Arc<MemoryStore>) -> Fixture {
    let keep = Box::new(Arc::clone(&store));
    Fixture { store: Box::new(Intercepted { inner: store, interceptor: Open }), keep }
}

async fn open(queue_limit: u64) -> Fixture {
    fixture(Arc::new(MemoryStore::new(queue_limit, at(0).wall, None)))
}

store_contract! { open,
    intake: {
        an_accepted_session_is_visible, a_duplicate_returns_the_first_verdict_and_the_present_state,
        a_duplicate_of_a_processed_session_carries_its_result, other_content_is_a_conflict,
        deployments_do_not_share_identifiers, the_queue_limit_counts_unfinished_sessions,
        a_final_session_is_processed_at_once, concurrent_repetitions_are_accepted_once,
        odd_text_and_numbers_come_back_unchanged,
    }
    claiming: {
        claims_are_in_order_of_acceptance, a_claim_takes_no_more_than_asked, up_to_bounds_a_claim,
        only_those_that_waited_long_enough_are_claimed,
        two_claims_share_no_session, concurrent_claims_share_no_session, an_empty_claim_leaves_no_trace,
        a_retry_waits_until_it_is_due, retries_come_in_the_order_they_are_due,
        members_carry_what_a_detector_needs, members_carry_what_the_model_said_at_once,
        waiters_are_told_of_ready_sessions,
    }
    settling: {
        a_scored_session_has_one_result, another_token_changes_nothing, settling_twice_changes_nothing,
        a_batch_may_settle_in_parts, members_without_outcome_are_given_back,
        a_session_outside_the_batch_refuses_the_whole, a_session_named_twice_refuses_the_whole,
        attempts_count_up_to_the_last, outages_cost_no_attempt, a_rejected_session_fails_with_its_error,
        a_refused_settlement_spares_its_neighbours,
    }
    leases: {
        an_expired_lease_returns_its_sessions, a_running_lease_is_left_alone, renewing_extends_a_lease,
        a_late_settlement_is_refused_and_the_second_stands, a_session_that_loses_leases_runs_alone,
        a_session_that_loses_more_leases_fails, a_lost_batch_is_recorded_as_abandoned,
    }
    lists: {
        a_snapshot_tells_the_queue, the_last_run_is_the_last_claim, the_running_state_is_kept,
        results_are_listed_newest_first, results_are_filtered, pages_neither_skip_nor_repeat,
        sessions_without_a_result_are_listed_by_state, batches_are_listed_with_their_members,
        dead_sessions_are_listed, dead_sessions_are_requeued, an_unknown_session_is_unknown,
        telemetry_comes_in_the_order_asked,
    }
    memory: {
        a_memory_is_kept_replaced_and_forgotten, a_memory_is_bounded, clearing_leaves_memories,
    }
    removal: {
        an_erased_session_is_gone_and_stays_so, erasing_what_is_unknown_says_so,
        a_session_erased_while_leased_gets_no_result, a_user_is_erased_in_one_deployment_or_all,
        clearing_removes_everything,
    }
}

#[test]
fn random_histories_of_the_queue_agree_with_the_model() {
    check_histories_of_the_queue(96, true, open, async |before: Fixture, now: Now| {
        let store = Arc::clone(before.keep.downcast_ref::<Arc<MemoryStore>>().unwrap());
        store.reopen(now.wall).unwrap();
        fixture(store)
    });
}
