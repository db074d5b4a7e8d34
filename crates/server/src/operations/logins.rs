//! Logins that somebody ended before their time. Nodes learn of them from the store, so that neither another node nor a
//! restart brings them back.

use serde_json::json;

use super::Operations;
use crate::controls::EndedLogin;
use crate::domain::time::Timestamp;
use crate::store::StoreResult;

/// Ended logins of one key told apart. Beyond it all logins of that key up to then are over.
pub const MAX_ENDED: usize = 256;
/// Entries past their time that one logout removes.
const MAX_REMOVED: usize = 32;

/// A login of a key.
#[derive(Clone, Copy, Debug)]
pub struct KeyLogin<'a> {
    /// The key, as the audit log names it.
    pub actor: &'a str,
    /// Tells it from other logins of the key.
    pub number: u128,
    /// When it began.
    pub begun: Timestamp,
    /// When it ends by itself.
    pub end: Timestamp,
}

impl KeyLogin<'_> {
    /// What the store calls it once it is ended. All of a key up to a time are called as the key.
    fn name(&self) -> String {
        format!("{}:{:032x}", self.actor, self.number)
    }
}

impl Operations {
    /// Whether a login is over, by its time or because somebody ended it.
    #[must_use]
    pub fn is_login_over(&self, login: KeyLogin<'_>) -> bool {
        let held = self.controls.current();
        login.end <= self.clock.now().wall
            || held.ended_logins.contains_key(&login.name())
            || held.ended_logins.get(login.actor).is_some_and(|until| login.begun.0 <= *until)
    }

    /// Ends a login on every node.
    ///
    /// # Errors
    /// When the store is away.
    pub async fn end_login(&self, login: KeyLogin<'_>) -> StoreResult<()> {
        self.perform(login.actor, "logout", "", json!({}), self.keep_ended(login)).await
    }

    async fn keep_ended(&self, login: KeyLogin<'_>) -> StoreResult<()> {
        let now = self.clock.now().wall;
        let own = format!("{}:", login.actor);
        let held = self.controls.current();
        let open = held.ended_logins.iter().filter(|(name, end)| name.starts_with(&own) && **end > now.0).count();
        if open >= MAX_ENDED {
            self.controls.put(login.actor, &EndedLogin(now.0)).await?;
        } else {
            self.controls.put(&login.name(), &EndedLogin(login.end.0)).await?;
        }
        let held = self.controls.current();
        let holds = login.end.0 - login.begun.0;
        let is_past = |(name, at): &(&String, &i64)| match name.split_once(':') {
            Some((actor, _)) => {
                **at <= now.0 || held.ended_logins.get(actor).is_some_and(|until| **at <= until.saturating_add(holds))
            }
            // Whoever logged in before it is over by now.
            None => at.saturating_add(holds) <= now.0,
        };
        let past = held.ended_logins.iter().filter(is_past).map(|(name, _)| name).take(MAX_REMOVED);
        for name in past {
            self.controls.remove::<EndedLogin>(name).await?;
        }
        Ok(())
    }
}
