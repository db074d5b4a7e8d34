//! Pages of a list: their size, and where they begin.

use std::str::FromStr;

use serde::Deserialize;
use utoipa::IntoParams;

use crate::http::respond::error::{ApiError, Code};

const PAGE: u32 = 50;
const MAX_PAGE: u32 = 500;

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageParams {
    /// 1 to 500.
    #[param(minimum = 1, maximum = 500, default = 50)]
    limit: Option<u32>,
    /// `nextCursor` of the page before.
    #[param(pattern = "^[0-9]{1,18}$")]
    cursor: Option<String>,
}

impl PageParams {
    /// Size and place of a page of what is numbered.
    pub(crate) fn place(self) -> Result<(u32, Option<i64>), ApiError> {
        Ok((page_size(self.limit, PAGE, MAX_PAGE)?, cursor(self.cursor)?))
    }
}

/// A page's size: `default` when not given, within `1..=max`.
pub(crate) fn page_size(limit: Option<u32>, default: u32, max: u32) -> Result<u32, ApiError> {
    match limit {
        None => Ok(default),
        Some(n) if (1..=max).contains(&n) => Ok(n),
        Some(_) => Err(ApiError::at(Code::OutOfBounds, "limit", format!("limit must be 1 to {max}"))),
    }
}

/// Where a page begins.
pub(crate) fn cursor<T: FromStr>(text: Option<String>) -> Result<Option<T>, ApiError> {
    text.map(|text| text.parse().map_err(|_| wrong_cursor())).transpose()
}

pub(crate) fn wrong_cursor() -> ApiError {
    ApiError::malformed("cursor", "cursor must be the nextCursor of the page before")
}

/// Where the page after `rows` begins; `None` where they are the last ones.
pub(crate) fn next<T, P: ToString>(rows: &[T], limit: u32, place: impl Fn(&T) -> P) -> Option<String> {
    rows.last().filter(|_| rows.len() >= limit as usize).map(|last| place(last).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_bounded() {
        assert_eq!(page_size(None, 100, 1000).unwrap(), 100);
        assert_eq!(page_size(Some(1000), 100, 1000).unwrap(), 1000);
        assert!(page_size(Some(0), 100, 1000).is_err() && page_size(Some(1001), 100, 1000).is_err());
    }
}
