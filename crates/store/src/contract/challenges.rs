//! Challenges: used with a session, answered once.

use std::time::Duration;

use futures_util::future::join_all;

use super::{at, claim, counts, key, scored, session, settle_all, submit};
use crate::challenges::{Redemption, UsedChallenge};
use crate::{Acceptance, NewSession, Retention, Store};
use playproof_domain::record::SessionDigest;

fn challenged(id: &str, number: u8) -> NewSession {
    let hostname = Some("shop.example".to_owned());
    let challenge = UsedChallenge { number: [number; 16], expires_at: at(300).wall, hostname };
    NewSession { challenge: Some(challenge), ..session(id, at(0)) }
}

/// What a question about challenge `number` with the session `id` comes to: the word for it, and for the first answer its
/// host and session.
async fn asked(store: &dyn Store, number: u8, id: &str, seconds: u64) -> String {
    match store.redeem([number; 16], key(id), at(seconds).wall).await.unwrap() {
        Redemption::First { hostname, session } => {
            format!("first of {}: {}", hostname.as_deref().unwrap_or("nowhere"), session.key.id)
        }
        other => format!("{other:?}"),
    }
}

pub(crate) async fn a_used_challenge_is_answered_once(store: &dyn Store) {
    assert_eq!(asked(store, 1, "a", 1).await, "Unused");
    submit(store, challenged("a", 1)).await;
    let again = store.accept(challenged("a", 1)).await.unwrap();
    assert!(matches!(again, Acceptance::Duplicate(_)), "sent again by a page that heard no answer");
    assert_eq!(asked(store, 1, "b", 1).await, "Unused", "no session of that name is there");
    assert_eq!(asked(store, 1, "a", 1).await, "first of shop.example: a");
    assert_eq!(asked(store, 1, "a", 2).await, "Repeated");
    assert_eq!(asked(store, 2, "a", 2).await, "Unused");
    let nowhere = UsedChallenge { number: [3; 16], expires_at: at(300).wall, hostname: None };
    submit(store, NewSession { challenge: Some(nowhere), ..session("b", at(0)) }).await;
    assert_eq!(asked(store, 3, "b", 2).await, "first of nowhere: b");
    assert!(store.erase_session(key("b"), at(3)).await.unwrap());
    assert_eq!(asked(store, 3, "b", 4).await, "Erased");
}

pub(crate) async fn of_many_questions_at_once_one_is_answered(store: &dyn Store) {
    submit(store, challenged("a", 1)).await;
    let answers = join_all((0..40).map(|_| asked(store, 1, "a", 1))).await;
    let answered = answers.iter().filter(|answer| *answer == "first of shop.example: a").count();
    let repeated = answers.iter().filter(|answer| *answer == "Repeated").count();
    assert_eq!((answered, repeated), (1, 39));
}

pub(crate) async fn a_used_challenge_outlives_its_session(store: &dyn Store) {
    submit(store, challenged("a", 1)).await;
    let other = NewSession { digest: SessionDigest([7; 16]), ..challenged("a", 1) };
    assert_eq!(store.accept(other.clone()).await.unwrap(), Acceptance::Conflict);
    let batch = claim(store, 9, at(1)).await;
    settle_all(store, &batch, scored(1.0), at(1)).await.unwrap();
    assert_eq!(store.clear(at(2)).await.unwrap(), 1);
    assert_eq!(store.accept(other).await.unwrap(), Acceptance::Conflict, "it was used");
    assert_eq!(store.accept(challenged("a", 1)).await.unwrap(), Acceptance::Conflict, "also with the same session");
    submit(store, session("b", at(2))).await;
    assert_eq!(counts(store).await.accepted, 2);
    assert!(store.erase_session(key("b"), at(3)).await.unwrap());
}

pub(crate) async fn challenges_are_forgotten_when_they_cannot_be_used_any_more(store: &dyn Store) {
    submit(store, challenged("a", 1)).await;
    let day = Duration::from_secs(24 * 3600);
    let kept = Retention { results: 90 * day, telemetry: day, telemetry_flagged: day };
    for (seconds, remembered) in [(301, true), (3_800, true), (3_902, false)] {
        store.prune(kept, at(seconds).wall).await.unwrap();
        assert_eq!(asked(store, 1, "a", seconds).await != "Unused", remembered, "after {seconds} s");
    }
}

pub(crate) async fn a_store_signs_with_a_key_of_its_own(store: &dyn Store) {
    assert_eq!(store.challenge_key(), store.challenge_key());
    assert_ne!(store.challenge_key(), [0; 32]);
    assert_eq!(store.webhook_key(), store.webhook_key());
    assert_ne!(store.webhook_key(), store.challenge_key(), "each purpose has its own");
}
