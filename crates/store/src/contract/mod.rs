//! The contract every store passes: small tests over `&dyn Store`, each on a store of its own.
//!
//! A store's test module calls `store_contract!(open)` with an async function that makes a [`Fixture`]; the macro turns
//! every function listed in it into a test. A function that is not listed is dead code and warned about.

pub(crate) mod audit;
pub(crate) mod buckets;
pub(crate) mod campaigns;
pub(crate) mod challenges;
pub(crate) mod claiming;
pub(crate) mod decisions;
pub(crate) mod deliveries;
pub(crate) mod evidence;
pub(crate) mod intake;
pub(crate) mod labels;
pub(crate) mod leases;
pub(crate) mod lists;
pub(crate) mod memory;
mod random;
pub(crate) mod removal;
pub(crate) mod settling;
pub(crate) mod sketches;

use std::any::Any;

use crate::Store;

pub(crate) use crate::testing::*;
pub(crate) use random::check as check_random_histories;
pub(crate) use random::check_queue as check_histories_of_the_queue;

/// A new, empty store.
pub(crate) struct Fixture {
    pub(crate) store: Box<dyn Store>,
    /// What must live as long as the store, such as its folder.
    pub(crate) keep: Box<dyn Any + Send>,
}

/// The queue limit of a fixture where a test does not set one.
pub(crate) const QUEUE_LIMIT: u64 = 1_000;

/// One test for each function of the contract, over the stores that `$open` makes: `async fn(queue_limit: u64) -> Fixture`.
macro_rules! store_contract {
    ($open:ident) => {
        store_contract! { $open,
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
                a_users_sessions_and_those_with_a_label_are_found, a_deployment_finds_its_own_however_many_others_have, results_are_found_by_prefix_and_ordered_by_score,
                sessions_without_a_result_are_listed_by_state,
                filters_without_an_index_look_at_a_window_and_go_on,
                batches_are_listed_with_their_members, dead_sessions_are_listed, dead_sessions_are_requeued,
                an_unknown_session_is_unknown, who_waits_is_told_by_deployment, telemetry_comes_in_the_order_asked, a_backup_opens_by_itself,
            }
            memory: {
                a_memory_is_kept_replaced_and_forgotten, a_memory_is_bounded, clearing_leaves_memories,
            }
            decisions: {
                controls_are_kept_and_every_change_is_a_version, results_stand_as_they_were_decided,
                a_decision_changes_once_and_says_why, the_first_verdict_outlives_a_revision,
                a_revised_session_leaves_no_history_behind,
            }
            challenges: {
                a_used_challenge_is_answered_once, of_many_questions_at_once_one_is_answered,
                a_used_challenge_outlives_its_session, challenges_are_forgotten_when_they_cannot_be_used_any_more,
                a_store_signs_with_a_key_of_its_own,
            }
            buckets: {
                what_is_decided_is_counted_by_time_and_by_what_it_has_in_common, a_deployment_sees_its_own_counts,
                old_buckets_are_added_up_and_forgotten, many_at_once_are_counted_exactly,
                the_backlog_of_reviews_and_labelled_results_are_told,
            }
            audit: {
                entries_are_chained_in_the_order_of_writing, entries_written_at_once_make_one_chain,
                the_log_outlives_clearing, pseudonyms_are_stable_and_name_nobody,
            }
            deliveries: {
                every_verdict_and_change_is_put_into_the_lines_that_want_it,
                a_session_is_told_of_in_order_and_what_is_taken_is_left_alone,
                an_erased_session_is_told_of_no_more_and_its_log_names_a_hash, events_come_in_order_from_any_place,
            }
            evidence: {
                a_result_keeps_what_it_was_when_its_session_was_scored, evidence_is_read_whole,
                a_store_signs_evidence_with_a_key_of_its_own,
            }
            labels: {
                a_label_decides_and_can_be_taken_back, what_nobody_labelled_is_reviewed, only_sessions_with_a_result_are_labelled,
                a_label_goes_with_its_session, labelled_sessions_keep_their_telemetry_longer,
            }
            sketches: {
                kept_sketches_are_read_with_their_users_and_by_page, who_follows_sketches_misses_none,
                a_session_that_names_as_many_as_it_may_is_one_more_copy, matches_are_named_until_those_are_erased,
                erasing_and_clearing_leave_no_sketch, retention_drops_sketches, telemetry_outlives_its_time_until_it_was_compared, a_stale_settlement_names_nobody,
                a_session_erased_while_leased_leaves_no_sketch, what_is_to_be_compared_is_remembered_until_it_was,
                a_match_found_after_the_verdict_revises_it_with_its_cause,
                a_session_is_compared_again_when_that_is_asked_for,
            }
            campaigns: {
                three_alike_are_a_campaign_that_says_what_they_are, campaigns_that_turn_out_alike_become_one,
                members_of_one_batch_that_are_alike_join_together, erased_members_leave_no_trace, pruned_members_leave_too,
                webhooks_are_told_of_its_steps_once, a_page_of_campaigns_goes_on_where_it_ended,
                labels_of_members_are_counted_and_name_the_campaign,
            }
            removal: {
                an_erased_session_is_gone_and_stays_so, erasing_what_is_unknown_says_so,
                a_session_erased_while_leased_gets_no_result, a_user_is_erased_in_one_deployment_or_all,
                clearing_removes_everything, telemetry_goes_by_class_and_age,
                unfinished_sessions_keep_their_telemetry, old_sessions_go_with_their_results,
                retention_goes_in_steps, a_requeued_session_keeps_its_telemetry,
                a_deployment_keeps_its_sessions_for_less_time, a_deployments_retention_goes_in_steps,
            }
        }
    };
    ($open:ident, $($part:ident: { $($test:ident),* $(,)? })*) => {
        $(mod $part { $(
            #[tokio::test]
            async fn $test() {
                let fixture = super::$open(crate::contract::QUEUE_LIMIT).await;
                crate::contract::$part::$test(&*fixture.store).await;
                crate::contract::counts(&*fixture.store).await;
            }
        )* })*
    };
}
pub(crate) use store_contract;
