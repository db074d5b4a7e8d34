//! A request as handlers see it, and what they answer.

use std::time::Instant;

use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::form::{BodyType, Part, body_type};
use crate::fault::{Fault, Struck};

/// Who calls.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) id: String,
    pub(crate) label: String,
    pub(crate) is_user: bool,
}

/// A request whose body is read, whose key is right, and that is struck by these faults.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) path: String,
    pub(crate) params: Vec<(String, String)>,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) form: Vec<Part>,
    pub(crate) caller: Option<Caller>,
    pub(crate) struck: Vec<Struck>,
    /// Unix milliseconds of the simulated time.
    pub(crate) now: i64,
    pub(crate) arrived: Instant,
}

impl Call {
    /// A part of the path.
    pub(crate) fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// A value of the query.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).filter(|text| !text.is_empty())
    }

    /// Every value of a repeated name, each of which may hold several with commas.
    pub(crate) fn query_list(&self, name: &str) -> Vec<String> {
        let values = self.query.iter().filter(|(key, _)| key == name || key.strip_suffix("[]") == Some(name));
        values.flat_map(|(_, value)| value.split(',')).filter(|v| !v.is_empty()).map(str::to_owned).collect()
    }

    /// A number of the query within bounds.
    pub(crate) fn query_number(&self, name: &str, default: usize, max: usize) -> Result<usize, Refusal> {
        let Some(text) = self.query(name) else { return Ok(default) };
        let wrong = || Refusal::invalid(&["query", name], "Input should be a valid integer", "int_parsing");
        let value: usize = text.parse().map_err(|_| wrong())?;
        if value > max {
            let text = format!("Input should be less than or equal to {max}");
            return Err(Refusal::invalid(&["query", name], &text, "less_than_equal"));
        }
        Ok(value)
    }

    pub(crate) fn query_flag(&self, name: &str) -> bool {
        self.query(name).is_some_and(is_true)
    }

    /// A text field of the form.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
        let part = self.form.iter().find(|part| part.name == name && part.filename.is_none())?;
        Some(String::from_utf8_lossy(&part.content).into_owned()).filter(|text| !text.is_empty())
    }

    pub(crate) fn field_flag(&self, name: &str) -> bool {
        self.field(name).is_some_and(|text| is_true(&text))
    }

    /// The file of the form.
    pub(crate) fn file(&self) -> Result<&Part, Refusal> {
        self.form.iter().find(|part| part.name == "file").ok_or_else(|| Refusal::missing(&["body", "file"]))
    }

    /// The body as a JSON object; an empty body is an empty object.
    pub(crate) fn json(&self) -> Result<Map<String, Value>, Refusal> {
        if self.body.is_empty() {
            return Ok(Map::new());
        }
        if !matches!(body_type(&self.headers), BodyType::Json | BodyType::Other) {
            let text = "Input should be a valid dictionary or object to extract fields from";
            return Err(Refusal::invalid(&["body"], text, "model_attributes_type"));
        }
        serde_json::from_slice(&self.body).map_err(|_| Refusal::invalid(&["body"], "JSON decode error", "json_invalid"))
    }

    /// What the first fault that fits says.
    pub(crate) fn fault<T>(&self, mut pick: impl FnMut(&Fault) -> Option<T>) -> Option<T> {
        self.struck.iter().find_map(|struck| pick(&struck.fault))
    }
}

fn is_true(text: &str) -> bool {
    text.eq_ignore_ascii_case("true") || text == "1"
}

/// A good answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) content_type: Option<&'static str>,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
    /// Rows of the table that was sent or given, for the log.
    pub(crate) rows: Option<usize>,
}

impl Reply {
    pub(crate) fn json(value: &Value) -> Self {
        Self::bytes("application/json", value.to_string().into_bytes())
    }

    pub(crate) fn bytes(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self {
            status: StatusCode::OK,
            content_type: Some(content_type),
            headers: Vec::new(),
            body: body.into(),
            rows: None,
        }
    }

    /// 204, with neither body nor content type.
    pub(crate) fn nothing() -> Self {
        Self { status: StatusCode::NO_CONTENT, content_type: None, headers: Vec::new(), body: Bytes::new(), rows: None }
    }

    pub(crate) fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn rows(mut self, rows: usize) -> Self {
        self.rows = Some(rows);
        self
    }
}

/// A refusal, `{"detail": ...}`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) detail: Value,
    pub(crate) header: Option<(&'static str, String)>,
}

impl Refusal {
    pub(crate) fn new(status: u16, detail: &str) -> Self {
        Self { status, detail: json!(detail), header: None }
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(404, &format!("{what} not found"))
    }

    /// 422 in the list form.
    pub(crate) fn invalid(place: &[&str], text: &str, kind: &str) -> Self {
        Self { status: 422, detail: json!([{"loc": place, "msg": text, "type": kind}]), header: None }
    }

    pub(crate) fn missing(place: &[&str]) -> Self {
        Self::invalid(place, "Field required", "missing")
    }

    pub(crate) fn one_of(place: &[&str], names: &[&str]) -> Self {
        Self::invalid(place, &format!("Input should be one of {}", names.join(", ")), "enum")
    }

    pub(crate) fn reply(&self) -> Reply {
        let mut reply = Reply::json(&json!({"detail": self.detail}))
            .status(StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR));
        reply.headers.extend(self.header.clone());
        reply
    }
}

/// A text field of a JSON object.
pub(crate) fn text(object: &Map<String, Value>, name: &str) -> Result<Option<String>, Refusal> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Refusal::invalid(&["body", name], "Input should be a valid string", "string_type")),
    }
}

/// A required text field of a JSON object.
pub(crate) fn required_text(object: &Map<String, Value>, name: &str) -> Result<String, Refusal> {
    text(object, name)?.ok_or_else(|| Refusal::missing(&["body", name]))
}
