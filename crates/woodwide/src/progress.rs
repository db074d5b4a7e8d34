//! How a training stands, from what either generation says of its model and job.

use serde_json::Value;
use tokio::time::Instant;

use super::answer::{id_of, items};
use super::failure::Failure;
use super::transport::{Request, Transport};

/// Where a training is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Not begun.
    Pending,
    /// At work.
    Training,
    /// The model scores.
    Complete,
    /// It ended without a model.
    Failed,
}

impl Stage {
    /// As the API writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Training => "TRAINING",
            Self::Complete => "COMPLETE",
            Self::Failed => "FAILED",
        }
    }

    /// Whatever is neither an end nor a beginning goes on.
    fn read(status: &str) -> Self {
        match status.to_ascii_lowercase().as_str() {
            "ready" | "succeeded" | "complete" => Self::Complete,
            "failed" | "error" | "canceled" | "rejected" => Self::Failed,
            "pending" | "queued" | "initializing" | "waiting_for_upload" => Self::Pending,
            _ => Self::Training,
        }
    }
}

/// How a training stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// The model's name.
    pub name: String,
    /// Where it is.
    pub stage: Stage,
    /// 0 to 100, where the service says.
    pub percent: Option<f64>,
    /// Why it failed.
    pub error: Option<String>,
    /// As the service writes it.
    pub created_at: Option<String>,
    /// Likewise.
    pub completed_at: Option<String>,
}

fn word(value: &Value, name: &str) -> Option<String> {
    value.get(name).and_then(Value::as_str).map(str::to_owned)
}

/// What the GA generation says; `job` is the training's, where it is known.
pub(super) async fn ga(
    transport: &Transport,
    model: &str,
    job: Option<String>,
    deadline: Instant,
) -> Result<Progress, Failure> {
    let reply = transport.send(&Request::get(format!("/models/{model}")), deadline).await?.json()?;
    let reply = reply.get("model").unwrap_or(&reply);
    let job = if job.is_some() {
        job
    } else {
        let list = Request::get(format!("/jobs?type=train&model_id={model}&limit=1"));
        let jobs = transport.send(&list, deadline).await?.json()?;
        items(&jobs).first().and_then(|job| id_of(job, "job"))
    };
    let detail = match job {
        Some(job) => match transport.send(&Request::get(format!("/jobs/{job}")), deadline).await {
            Ok(reply) => reply.json()?,
            // Jobs may be forgotten before models are.
            Err(Failure::Missing(_)) => Value::Null,
            Err(failure) => return Err(failure),
        },
        None => Value::Null,
    };
    let detail = detail.get("job").unwrap_or(&detail);
    let of_model = Stage::read(reply.get("status").and_then(Value::as_str).unwrap_or_default());
    let of_job = detail.get("status").and_then(Value::as_str).map(Stage::read);
    // The job knows more while it runs, and when it ended without the model hearing of it.
    let stage = match (of_model, of_job) {
        (Stage::Pending | Stage::Training, Some(stage)) if stage != Stage::Complete => stage,
        (stage, _) => stage,
    };
    let failed = stage == Stage::Failed;
    let over = failed || stage == Stage::Complete;
    let percent = detail.get("progress").and_then(Value::as_f64).filter(|percent| percent.is_finite());
    Ok(Progress {
        name: word(reply, "name").unwrap_or_else(|| model.to_owned()),
        stage,
        percent: percent.map(|percent| percent.clamp(0.0, 100.0)),
        error: failed.then(|| word(detail, "error_message").unwrap_or_else(|| "no reason given".to_owned())),
        created_at: word(reply, "created_at"),
        completed_at: word(detail, "finished_at").or_else(|| word(reply, "updated_at")).filter(|_| over),
    })
}

/// What the beta generation says.
pub(super) async fn beta(transport: &Transport, model: &str, deadline: Instant) -> Result<Progress, Failure> {
    let reply = transport.send(&Request::get(format!("/api/models/{model}")), deadline).await?.json()?;
    let stage = Stage::read(reply.get("training_status").and_then(Value::as_str).unwrap_or_default());
    let failed = stage == Stage::Failed;
    let over = failed || stage == Stage::Complete;
    Ok(Progress {
        name: word(&reply, "name").unwrap_or_else(|| model.to_owned()),
        stage,
        percent: None,
        error: failed.then(|| word(&reply, "err_msg").unwrap_or_else(|| "no reason given".to_owned())),
        created_at: word(&reply, "created_at"),
        completed_at: word(&reply, "updated_at").filter(|_| over),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_both_generations_is_one_of_four() {
        for (words, stage) in [
            (&["queued", "PENDING", "initializing"][..], Stage::Pending),
            (&["running", "RUNNING", "TRAINING", "processing", "", "warming up"], Stage::Training),
            (&["ready", "succeeded", "COMPLETE"], Stage::Complete),
            (&["failed", "FAILED", "ERROR", "canceled", "rejected"], Stage::Failed),
        ] {
            assert!(words.iter().all(|word| Stage::read(word) == stage), "{words:?}");
        }
    }
}
