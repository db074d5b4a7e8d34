//! The load: connections that each send a session, wait for the answer and send the next.
//!
//! It shares the machine with the server, so it is cheap: one thread, bodies built beforehand, and per request only a
//! new identifier in front of a body that all requests share.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::{Body, Frame, SizeHint};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpSocket, TcpStream, lookup_host};

use super::histogram::Histogram;
use crate::generator::{self, Family, Shape};

/// Sessions that differ in more than their identifier.
const POOL: u64 = 64;
/// Longest wait for an answer before it counts as missing.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Bodies without their identifiers.
pub(super) struct Pool {
    tails: Vec<Bytes>,
    prefix: String,
    /// Sessions of a request; more than one go to the bulk intake.
    bulk: Option<NonZeroUsize>,
}

impl Pool {
    /// Sessions of `movements` each, of all families in turn. Identifiers start with `prefix`.
    pub(super) fn new(movements: usize, prefix: String) -> Self {
        let tail = |seed: u64| {
            let family = Family::ALL[usize::try_from(seed).unwrap_or_default() % Family::ALL.len()];
            let session = generator::generate(family, seed, Shape { movements: Some(movements) });
            let body = generator::to_json(&session, true);
            let head = HEAD.len() + session.id.as_str().len();
            Bytes::from(body).slice(head..)
        };
        Self { tails: (0..POOL).map(tail).collect(), prefix, bulk: None }
    }

    /// The same sessions, `bulk` of them a request to the bulk intake.
    pub(super) fn in_bulk(&self, bulk: NonZeroUsize) -> Self {
        Self { tails: self.tails.clone(), prefix: format!("{}bulk-", self.prefix), bulk: Some(bulk) }
    }

    /// Sessions of a request.
    fn sessions(&self) -> usize {
        self.bulk.map_or(1, NonZeroUsize::get)
    }

    /// Where its requests go, and what they hold.
    fn route(&self) -> (&'static str, &'static str) {
        match self.bulk {
            Some(_) => ("/api/v1/batch/sessions?report=refused", "application/x-ndjson"),
            None => SINGLE,
        }
    }

    /// Mean size of a body, bytes.
    pub(super) fn body_bytes(&self) -> usize {
        let tails: usize = self.tails.iter().map(Bytes::len).sum();
        tails / self.tails.len() + HEAD.len() + self.prefix.len() + 6
    }

    /// The body of request `number`.
    fn body(&self, number: usize) -> Parts {
        let sessions = number * self.sessions()..(number + 1) * self.sessions();
        let mut parts = VecDeque::with_capacity(3 * sessions.len());
        for session in sessions {
            parts.push_back(Bytes::from(format!("{HEAD}{}{session:06}", self.prefix)));
            parts.push_back(self.tails[session % self.tails.len()].clone());
            if self.bulk.is_some() {
                parts.push_back(Bytes::from_static(b"\n"));
            }
        }
        Parts(parts)
    }
}

/// Where a single session goes, and what it is.
const SINGLE: (&str, &str) = ("/api/v1/score", "application/json");

/// How a generated body starts, up to its identifier.
const HEAD: &str = "{\"sessionId\":\"";

/// A body in parts, most of them shared by many requests.
pub(super) struct Parts(VecDeque<Bytes>);

impl Body for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.get_mut().0.pop_front().map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.iter().map(|part| part.len() as u64).sum())
    }
}

/// Where the load goes.
#[derive(Clone)]
pub(super) struct Target {
    address: String,
    key: Option<HeaderValue>,
    from: Option<Ipv4Addr>,
}

impl Target {
    /// A service at `url` (`http://HOST:PORT`), with the key that it asks for.
    pub(super) fn new(url: &str, key: Option<&str>) -> anyhow::Result<Self> {
        let uri: Uri = url.parse().with_context(|| format!("{url} is not a URL; write http://HOST:PORT"))?;
        anyhow::ensure!(uri.scheme_str() == Some("http"), "{url} is not reached by http; write http://HOST:PORT");
        let host = uri.host().with_context(|| format!("{url} names no host; write http://HOST:PORT"))?;
        let bearer = |key: &str| HeaderValue::try_from(format!("Bearer {key}"));
        let key = key.map(bearer).transpose().context("the key holds characters that no header may hold")?;
        Ok(Self { address: format!("{host}:{}", uri.port_u16().unwrap_or(80)), key, from: None })
    }

    /// The same target, reached from an address of this machine.
    pub(super) fn from(self, address: Ipv4Addr) -> Self {
        Self { from: Some(address), ..self }
    }

    /// A bare connection.
    pub(super) async fn stream(&self) -> anyhow::Result<TcpStream> {
        let stream = match self.from {
            None => TcpStream::connect(&self.address).await?,
            Some(from) => {
                let to = lookup_host(&self.address).await?.find(SocketAddr::is_ipv4);
                let socket = TcpSocket::new_v4()?;
                // Ports of connections that have just ended are free to take again.
                socket.set_reuseaddr(true)?;
                socket.bind((from, 0).into())?;
                socket.connect(to.context("the target has no IPv4 address")?).await?
            }
        };
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// The head of a request written by hand, with `more` header lines, each with its end.
    pub(super) fn head(&self, method: &str, path: &str, more: &str) -> String {
        let key = self.key.as_ref().and_then(|key| key.to_str().ok());
        let key = key.map(|key| format!("Authorization: {key}\r\n")).unwrap_or_default();
        format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n{key}{more}\r\n", self.address)
    }

    fn request<B>(&self, method: &str, path: &str, body: B) -> anyhow::Result<Request<B>> {
        self.request_of("application/json", method, path, body)
    }

    fn request_of<B>(&self, kind: &str, method: &str, path: &str, body: B) -> anyhow::Result<Request<B>> {
        let mut request = Request::builder().method(method).uri(path).header(HOST, &self.address);
        if let Some(key) = &self.key {
            request = request.header(AUTHORIZATION, key);
        }
        Ok(request.header(CONTENT_TYPE, kind).body(body)?)
    }

    pub(super) async fn connect<B>(&self) -> anyhow::Result<SendRequest<B>>
    where
        B: Body<Data = Bytes, Error = Infallible> + 'static,
    {
        let (sender, connection) = http1::handshake(TokioIo::new(self.stream().await?)).await?;
        // The connection's own errors reach us through the sender.
        tokio::task::spawn_local(async move { drop(connection.await) });
        Ok(sender)
    }

    /// Sends one body, authorized by a token where one is given; status and body of the answer.
    pub(super) async fn post(
        &self,
        open: &mut SendRequest<Full<Bytes>>,
        path: &str,
        body: Bytes,
        token: Option<&str>,
    ) -> anyhow::Result<(u16, Bytes)> {
        open.ready().await?;
        let mut request = self.request("POST", path, Full::new(body))?;
        if let Some(token) = token {
            request.headers_mut().insert(AUTHORIZATION, HeaderValue::try_from(format!("Bearer {token}"))?);
        }
        let response = open.send_request(request).await?;
        let status = response.status().as_u16();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }

    /// Asks once, outside of the load.
    pub(super) async fn get_json(&self, path: &str) -> anyhow::Result<serde_json::Value> {
        Ok(serde_json::from_str(&self.get_text(path).await?)?)
    }

    /// The same, whatever the form of the answer.
    pub(super) async fn get_text(&self, path: &str) -> anyhow::Result<String> {
        let mut sender = self.connect().await.with_context(|| format!("cannot reach {}", self.address))?;
        let response = sender.send_request(self.request("GET", path, Empty::<Bytes>::new())?).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        let mend = if matches!(status.as_u16(), 401 | 403) { "; give an admin key with --key" } else { "" };
        anyhow::ensure!(status.is_success(), "{path} answered {status}{mend}");
        Ok(String::from_utf8(body.to_vec())?)
    }
}

/// What came of the load.
#[derive(Clone, Default)]
pub(super) struct Tally {
    /// Latencies of the requests answered with 200.
    pub(super) latency: Histogram,
    /// Sessions of these requests.
    pub(super) sessions: u64,
    /// Everything else, by status or by the kind of failure.
    pub(super) errors: BTreeMap<String, u64>,
    /// How long it lasted.
    pub(super) elapsed: Duration,
}

impl Tally {
    pub(super) fn merge(&mut self, other: &Self) {
        self.latency.merge(&other.latency);
        self.sessions += other.sessions;
        self.elapsed += other.elapsed;
        for (kind, count) in &other.errors {
            *self.errors.entry(kind.clone()).or_default() += count;
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a count for a rate")]
    pub(super) fn rate(&self) -> f64 {
        self.sessions as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// Which request is next, and when it is due.
struct Turns {
    next: Cell<usize>,
    first: usize,
    start: Instant,
    pace: Option<Duration>,
}

impl Turns {
    /// The next request, and when it is due where there is a pace.
    fn take(&self) -> (usize, Option<Instant>) {
        let number = self.next.get();
        self.next.set(number + 1);
        let place = u32::try_from(number - self.first).unwrap_or(u32::MAX);
        (number, self.pace.map(|pace| self.start + pace * place))
    }
}

/// Sends sessions over `connections` for `lasting`, starting with request `first`; also returns the number of the
/// request after the last. Runs in a [`tokio::task::LocalSet`].
pub(super) async fn send(
    target: &Target,
    pool: &Rc<Pool>,
    connections: usize,
    lasting: Duration,
    first: usize,
) -> (Tally, usize) {
    send_paced(target, pool, connections, lasting, first, None).await
}

/// The same with one request every `pace` in all. A request that no connection was free for goes out as soon as one is,
/// and its latency counts from when it was due.
pub(super) async fn send_paced(
    target: &Target,
    pool: &Rc<Pool>,
    connections: usize,
    lasting: Duration,
    first: usize,
    pace: Option<Duration>,
) -> (Tally, usize) {
    let start = Instant::now();
    let turns = Rc::new(Turns { next: Cell::new(first), first, start, pace });
    let tasks: Vec<_> = (0..connections)
        .map(|_| {
            tokio::task::spawn_local(connection(target.clone(), Rc::clone(pool), start + lasting, Rc::clone(&turns)))
        })
        .collect();
    let mut tally = Tally::default();
    for task in tasks {
        if let Ok(part) = task.await {
            tally.merge(&part);
        }
    }
    tally.elapsed = start.elapsed();
    (tally, turns.next.get())
}

/// Sends each of `bodies` once over `connections`, again after a pause where the node says that it takes no more now. Runs
/// in a [`tokio::task::LocalSet`].
///
/// # Errors
/// When the node cannot be reached, or refuses one.
pub(super) async fn send_all(target: &Target, bodies: Rc<Vec<Bytes>>, connections: usize) -> anyhow::Result<()> {
    const PAUSE: Duration = Duration::from_millis(50);
    let next = Rc::new(Cell::new(0));
    let one = |target: Target, bodies: Rc<Vec<Bytes>>, next: Rc<Cell<usize>>| async move {
        let mut sender = target.connect().await?;
        while let Some(body) = bodies.get(next.replace(next.get() + 1)) {
            loop {
                let parts = Parts(VecDeque::from([body.clone()]));
                match exchange(&target, &mut sender, SINGLE, parts).await?.0 {
                    200 => break,
                    429 | 503 => tokio::time::sleep(PAUSE).await,
                    status => anyhow::bail!("a session was answered with {status}"),
                }
            }
        }
        anyhow::Ok(())
    };
    let tasks: Vec<_> = (0..connections)
        .map(|_| tokio::task::spawn_local(one(target.clone(), Rc::clone(&bodies), Rc::clone(&next))))
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}

/// One connection's load until `deadline`; it connects again when the server hangs up.
async fn connection(target: Target, pool: Rc<Pool>, deadline: Instant, turns: Rc<Turns>) -> Tally {
    /// Between attempts to connect, so that a server that is gone is not hammered.
    const PAUSE: Duration = Duration::from_millis(50);
    let mut tally = Tally::default();
    let mut sender: Option<SendRequest<Parts>> = None;
    while Instant::now() < deadline {
        if sender.is_none() {
            sender = target.connect().await.ok();
        }
        let Some(open) = &mut sender else {
            *tally.errors.entry("connect".to_owned()).or_default() += 1;
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        let (number, due) = turns.take();
        let mut sent = Instant::now();
        match due {
            Some(due) if due >= deadline => break,
            Some(due) if due > sent => {
                tokio::time::sleep_until(due.into()).await;
                sent = Instant::now();
            }
            Some(due) => sent = due,
            None => {}
        }
        let answer = exchange(&target, open, pool.route(), pool.body(number));
        let failed = match tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
            Ok(Ok((200, refused))) => {
                tally.latency.record(sent.elapsed());
                tally.sessions += (pool.sessions() as u64).saturating_sub(refused);
                if refused > 0 {
                    *tally.errors.entry("refused lines".to_owned()).or_default() += refused;
                }
                continue;
            }
            Ok(Ok((status, _))) => status.to_string(),
            Ok(Err(_)) => "broken connection".to_owned(),
            Err(_) => "no answer".to_owned(),
        };
        if failed.parse::<u16>().is_err() {
            sender = None;
        }
        *tally.errors.entry(failed).or_default() += 1;
    }
    tally
}

/// Sends one request; the status of its answer, and how many lines of a bulk were refused.
async fn exchange(
    target: &Target,
    open: &mut SendRequest<Parts>,
    (path, kind): (&str, &str),
    body: Parts,
) -> anyhow::Result<(u16, u64)> {
    open.ready().await?;
    let response = open.send_request(target.request_of(kind, "POST", path, body)?).await?;
    let status = response.status().as_u16();
    let mut body = response.into_body();
    // The summary is the last line of a bulk's answer, which has the refused lines before it.
    let mut last = Bytes::new();
    while let Some(frame) = body.frame().await {
        last = frame?.into_data().unwrap_or(last);
    }
    if kind == SINGLE.1 {
        return Ok((status, 0));
    }
    let line = last.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let summary: serde_json::Value = serde_json::from_slice(line)?;
    let refused = summary["summary"]["refused"].as_u64().context("a bulk's answer ends without a summary")?;
    Ok((status, refused))
}
