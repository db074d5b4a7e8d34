//! What people and integrators added to sessions, when a store is moved: labels, changes of decisions, deliveries.

use std::collections::HashMap;

use deadpool_postgres::{GenericClient, Transaction};
use tokio_postgres::Row;

use super::fault::Fault;
use super::rows::{number, whole as int};
use super::{decisions, deliveries, labels};
use crate::decisions::Revised;
use crate::deliveries::KeptDelivery;
use crate::export::ExportedSession;
use crate::labels::Label;
use playproof_domain::id::Seq;

/// Writes what a page of sessions has.
pub(super) async fn take(transaction: &Transaction<'_>, page: &[ExportedSession]) -> Result<(), Fault> {
    for whole in page {
        let seq = whole.session.seq;
        if let Some(label) = &whole.label {
            // Campaigns get numbers of their own here.
            labels::write(transaction, seq, &Label { campaign: None, ..label.clone() }).await?;
        }
        let sql = "INSERT INTO revisions (id, seq, at, cause, earlier, later, detail) OVERRIDING SYSTEM VALUE \
                   VALUES ($1, $2, $3, $4, $5, $6, $7)";
        for (id, revised) in &whole.revisions {
            let Revised { at, cause, earlier, later, detail } = revised;
            let statement = transaction.prepare_cached(sql).await?;
            let [cause, earlier, later] = [number(*cause), number(*earlier), number(*later)];
            transaction.execute(&statement, &[id, &seq.0, &at.0, &cause, &earlier, &later, detail]).await?;
        }
        take_deliveries(transaction, seq, &whole.deliveries).await?;
    }
    Ok(())
}

/// Writes deliveries about a session; 0 for those about none.
pub(super) async fn take_deliveries(
    transaction: &Transaction<'_>,
    seq: Seq,
    deliveries: &[KeptDelivery],
) -> Result<(), Fault> {
    let sql = "INSERT INTO deliveries (id, webhook, seq, target, kind, body, created_at, state, attempts, not_before, \
               finished_at, status, error) OVERRIDING SYSTEM VALUE \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT (id) DO NOTHING";
    for KeptDelivery { webhook, body, row } in deliveries {
        let statement = transaction.prepare_cached(sql).await?;
        transaction
            .execute(
                &statement,
                &[
                    &row.id,
                    webhook,
                    &seq.0,
                    &row.target,
                    &number(row.kind),
                    body,
                    &row.created_at.0,
                    &number(row.state),
                    &int(row.attempts),
                    &row.not_before.0,
                    &row.finished_at.map(|at| at.0),
                    &row.status.map(i32::from),
                    &row.error,
                ],
            )
            .await?;
    }
    Ok(())
}

/// Reads what a page of sessions has.
pub(super) async fn add(client: &impl GenericClient, page: &mut [ExportedSession]) -> Result<(), Fault> {
    let seqs: Vec<i64> = page.iter().map(|whole| whole.session.seq.0).collect();
    let mut places: HashMap<i64, &mut ExportedSession> =
        page.iter_mut().map(|whole| (whole.session.seq.0, whole)).collect();
    let mut each = |rows: Vec<Row>, put: &dyn Fn(&mut ExportedSession, &Row) -> Result<(), Fault>| {
        for row in &rows {
            if let Some(whole) = places.get_mut(&row.try_get("seq")?) {
                put(whole, row)?;
            }
        }
        Ok::<(), Fault>(())
    };
    each(client.query("SELECT * FROM labels WHERE seq = ANY($1)", &[&seqs]).await?, &|whole, row| {
        whole.label = Some(labels::read(row)?);
        Ok(())
    })?;
    each(client.query("SELECT * FROM revisions WHERE seq = ANY($1) ORDER BY id", &[&seqs]).await?, &|whole, row| {
        whole.revisions.push((row.try_get("id")?, decisions::revised(row)?));
        Ok(())
    })?;
    each(client.query("SELECT * FROM deliveries WHERE seq = ANY($1) ORDER BY id", &[&seqs]).await?, &|whole, row| {
        whole.deliveries.push(deliveries::kept(row)?);
        Ok(())
    })
}

/// Lets new rows go on after the highest number that is there.
pub(super) async fn number_on(transaction: &Transaction<'_>) -> Result<(), Fault> {
    for table in ["batches", "revisions", "deliveries"] {
        let next = format!(
            "SELECT setval(pg_get_serial_sequence('{table}', 'id'), coalesce(max(id), 0) + 1, false) FROM {table}"
        );
        transaction.execute(&next, &[]).await?;
    }
    Ok(())
}
