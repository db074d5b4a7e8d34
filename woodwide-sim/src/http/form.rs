//! Reading bodies: multipart and urlencoded forms as named parts, in any order, whatever else is there.

use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use bytes::Bytes;

/// One field or file of a form.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub(crate) name: String,
    pub(crate) filename: Option<String>,
    pub(crate) content: Bytes,
}

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyType {
    Json,
    Multipart,
    UrlEncoded,
    Other,
}

/// The type that the request declares.
pub(crate) fn body_type(headers: &HeaderMap) -> BodyType {
    match declared(headers).split(';').next().unwrap_or_default().trim() {
        "application/json" => BodyType::Json,
        "multipart/form-data" => BodyType::Multipart,
        "application/x-www-form-urlencoded" => BodyType::UrlEncoded,
        _ => BodyType::Other,
    }
}

fn declared(headers: &HeaderMap) -> &str {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The parts of a form; none for other bodies.
pub(crate) async fn read(headers: &HeaderMap, body: &Bytes) -> Result<Vec<Part>, String> {
    match body_type(headers) {
        BodyType::UrlEncoded => Ok(form_urlencoded::parse(body)
            .map(|(name, value)| Part {
                name: name.into_owned(),
                filename: None,
                content: Bytes::from(value.into_owned()),
            })
            .collect()),
        BodyType::Multipart => read_multipart(headers, body.clone()).await.map_err(|e| e.to_string()),
        BodyType::Json | BodyType::Other => Ok(Vec::new()),
    }
}

async fn read_multipart(headers: &HeaderMap, body: Bytes) -> multer::Result<Vec<Part>> {
    let boundary = multer::parse_boundary(declared(headers))?;
    let whole = futures_util::stream::once(async move { Ok::<_, std::io::Error>(body) });
    let mut form = multer::Multipart::new(whole, boundary);
    let mut parts = Vec::new();
    while let Some(field) = form.next_field().await? {
        let name = field.name().unwrap_or_default().to_owned();
        let filename = field.file_name().map(str::to_owned);
        parts.push(Part { name, filename, content: field.bytes().await? });
    }
    Ok(parts)
}
