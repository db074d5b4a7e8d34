//! The bodies of one exchange on a connection: a request's, which is read on when its handler is done with it, and an
//! answer's, which says when it is over.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Frame, Incoming, SizeHint};
use tokio::sync::OwnedSemaphorePermit;

/// How long, and how far, the rest of a refused body is read, so that its sender gets to read the answer.
const LINGER: Duration = Duration::from_secs(10);
const LINGER_BYTES: u64 = 256 << 20;

/// An answer's body, and the exchange that is over with it.
pub(crate) struct Answering {
    body: Body,
    _exchange: Option<OwnedSemaphorePermit>,
}

impl Answering {
    pub(crate) fn new(body: Body, exchange: Option<OwnedSemaphorePermit>) -> Self {
        Self { body, _exchange: exchange }
    }
}

impl hyper::body::Body for Answering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body that, when its handler is done with it before its end, is read on and thrown away for a while: a client that
/// is cut off while it writes may never see the answer.
pub(crate) struct Lingering {
    body: Option<Incoming>,
    /// The client waits to be asked for the body, and was not.
    unasked: bool,
}

impl Lingering {
    pub(crate) fn body(body: Incoming, expects: bool) -> Body {
        if body.is_end_stream() {
            return Body::empty();
        }
        Body::new(Self { body: Some(body), unasked: expects })
    }
}

impl hyper::body::Body for Lingering {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.unasked = false;
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Incoming::size_hint)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let Some(mut body) = self.body.take().filter(|body| !body.is_end_stream() && !self.unasked) else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(tokio::time::timeout(LINGER, async move {
            let mut left = LINGER_BYTES;
            while let Some(Ok(frame)) = body.frame().await {
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                left = left.saturating_sub(length);
                if left == 0 {
                    return;
                }
            }
        }));
    }
}
