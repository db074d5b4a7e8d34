//! Answers as JSON, and as CSV where the caller asks for it.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use super::error::ApiError;
use super::raw::bytes;

/// What a handler answers.
pub(crate) type Answer = Result<Response, ApiError>;

/// Where the next page of a CSV answer starts.
const NEXT_CURSOR: &str = "x-next-cursor";

/// `200 OK` with `body` as JSON.
pub(crate) fn json<T: Serialize>(body: &T) -> Response {
    json_with(StatusCode::OK, body)
}

/// `status` with `body` as JSON.
pub(crate) fn json_with<T: Serialize>(status: StatusCode, body: &T) -> Response {
    match serde_json::to_vec(body) {
        Ok(text) => bytes(status, "application/json", text),
        Err(error) => ApiError::internal(format!("an answer could not be encoded: {error}")).into_response(),
    }
}

/// Whether the caller wants CSV in the place of JSON.
pub(crate) fn wants_csv(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|a| a.to_str().ok()).unwrap_or_default();
    accept.split(',').any(|kind| kind.split(';').next().is_some_and(|k| k.trim().eq_ignore_ascii_case("text/csv")))
}

/// Rows under their column names as CSV, and where the next page starts.
pub(crate) fn csv<const N: usize, S: AsRef<[u8]>>(
    columns: [&str; N],
    rows: impl IntoIterator<Item = [S; N]>,
    next: Option<String>,
) -> Answer {
    let text = write_csv(columns, rows).map_err(|e| ApiError::internal(format!("rows could not be written: {e}")))?;
    let mut response = bytes(StatusCode::OK, "text/csv; charset=utf-8", text);
    if let Some(next) = next.and_then(|next| HeaderValue::try_from(next).ok()) {
        response.headers_mut().insert(NEXT_CURSOR, next);
    }
    Ok(response)
}

fn write_csv<const N: usize, S: AsRef<[u8]>>(
    columns: [&str; N],
    rows: impl IntoIterator<Item = [S; N]>,
) -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
    let mut out = csv::Writer::from_writer(Vec::new());
    out.write_record(columns)?;
    for row in rows {
        out.write_record(row)?;
    }
    Ok(out.into_inner()?)
}
