//! Connections: accepted up to a bound, each with time limits on both directions, drained on shutdown.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::header;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep};
use tower_service::Service as _;

use super::http2;
use crate::access::address::ClientAddress;
use crate::http::router;
use crate::http::settings::HttpSettings;
use crate::http::state::Service;
use crate::http::transport::base_path;
use crate::http::transport::bodies::{Answering, Lingering};
use crate::http::transport::newcomers::{Newcomer, Newcomers};
use crate::http::transport::peer::{Peer, Seat};

/// Largest request head, and most bytes of a body read ahead.
const BUFFER: usize = 64 << 10;
/// Open files that are not connections.
const OTHER_FILES: u64 = 96;
/// How long after the end was asked for a connection may go on without a whole request, and how long the last answer may
/// then take to leave. What is half sent by then is sent again to a node that stays.
const HALF_SENT: Duration = Duration::from_secs(4);
const LAST_ANSWER: Duration = Duration::from_secs(1);
/// Connections beyond all places, for whoever watches the process, and how long such a one may take to say what it wants.
const KEPT: usize = 16;
const KEPT_HEADER: Duration = Duration::from_secs(2);
/// How long to wait when no connection can be accepted.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// Most connections that wait to be accepted. A client that finds no room there asks again after a second.
const BACKLOG: u32 = 4096;

/// Listens on `address`.
///
/// # Errors
/// When the address cannot be used.
pub fn listen(address: std::net::SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // A node that starts again takes its address at once.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Serves `service` on `listener` until `shutdown`, then lets requests in flight finish for up to `grace`.
///
/// # Errors
/// When the listener can be reached from other machines and the service has no keys.
pub async fn serve(
    listener: TcpListener,
    service: Arc<Service>,
    shutdown: impl Future<Output = ()>,
    grace: Duration,
) -> io::Result<()> {
    service
        .settings
        .check(listener.local_addr()?.ip())
        .map_err(|e| io::Error::new(io::ErrorKind::PermissionDenied, e))?;
    // From the start, so that whoever opens the dashboard sees what was before.
    service.watch();
    let router = router::router(&service);
    run(listener, router, service, shutdown, grace).await
}

/// As [`serve`], with any routes.
pub(crate) async fn run(
    listener: TcpListener,
    router: Router,
    service: Arc<Service>,
    shutdown: impl Future<Output = ()>,
    grace: Duration,
) -> io::Result<()> {
    let closing = watch::Sender::new(false);
    let most = most_connections(service.settings.max_connections);
    let (places, kept) = (Arc::new(Semaphore::new(most)), Arc::new(Semaphore::new(KEPT)));
    let newcomers = Newcomers::new(most);
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        // The place comes first: without one, connections wait in the listener's backlog.
        let accepted = async {
            let (place, seat) = tokio::select! {
                biased;
                place = Arc::clone(&places).acquire_owned() => (place, Seat::Any),
                place = Arc::clone(&kept).acquire_owned() => (place, Seat::ForProbes),
            };
            Ok::<_, io::Error>((place.map_err(io::Error::other)?, seat, listener.accept().await?))
        };
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = accepted => match accepted {
                Ok((place, seat, (stream, peer))) => {
                    // All clients of a proxy come from its address.
                    let proxied = service.settings.trusted_proxies.iter().any(|net| net.contains(&peer.ip().to_canonical()));
                    let newcomer = (!proxied).then(|| newcomers.take_in(ClientAddress::new(peer.ip())));
                    let guest = Guest { peer: Peer(peer), seat, newcomer };
                    let connection = connection(stream, guest, router.clone(), &service.settings, closing.subscribe());
                    connections.spawn(async move {
                        connection.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_AGAIN).await;
                }
            },
        }
    }
    drop(listener);
    service.leave();
    service.drain();
    closing.send_replace(true);
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(grace, drained).await.is_err() {
        tracing::warn!(connections = connections.len(), "connections are cut off at the end of the grace period");
        connections.shutdown().await;
    }
    Ok(())
}

/// Who is at the other end of a connection, and how it got in.
#[derive(Clone)]
struct Guest {
    peer: Peer,
    seat: Seat,
    newcomer: Option<Newcomer>,
}

/// `wanted`, or what the limit of open files leaves.
fn most_connections(wanted: usize) -> usize {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let left = files.map_or(u64::MAX, |files| files.saturating_sub(OTHER_FILES + KEPT as u64)).max(16);
    wanted.min(usize::try_from(left).unwrap_or(usize::MAX)).min(Semaphore::MAX_PERMITS)
}

fn connection(
    stream: TcpStream,
    guest: Guest,
    router: Router,
    settings: &HttpSettings,
    mut closing: watch::Receiver<bool>,
) -> impl Future<Output = ()> + Send + use<> {
    let (mut header_timeout, write_timeout) = (settings.header_timeout, settings.write_timeout);
    if guest.seat == Seat::ForProbes {
        header_timeout = header_timeout.min(KEPT_HEADER);
    }
    let base_path: Arc<str> = settings.base_path.as_str().into();
    async move {
        // Answers are written whole; waiting to fill a packet would only delay them.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let io = TokioIo::new(Patient::new(stream, write_timeout));
        // Held from a request's head to the end of its answer; a connection has one at a time.
        let exchange = Arc::new(Semaphore::new(1));
        let exchanges = Arc::clone(&exchange);
        let newcomer = guest.newcomer.clone();
        let gives_way = async {
            match &newcomer {
                Some(newcomer) => newcomer.gives_way().await,
                None => std::future::pending().await,
            }
        };
        let answer = service_fn(move |request: Request<Incoming>| {
            let (mut router, base_path, exchanges) = (router.clone(), Arc::clone(&base_path), Arc::clone(&exchanges));
            let guest = guest.clone();
            async move {
                let exchange = exchanges.acquire_owned().await.ok();
                let (mut parts, body) = request.into_parts();
                parts.extensions.insert(guest.peer);
                parts.extensions.insert(guest.seat);
                if let Some(newcomer) = guest.newcomer {
                    parts.extensions.insert(newcomer);
                }
                let place = base_path::strip(&base_path, &mut parts.uri);
                parts.extensions.insert(place);
                let body = Lingering::body(body, parts.headers.contains_key(header::EXPECT));
                let answer = router.call(Request::from_parts(parts, body)).await;
                answer.map(|answer| answer.map(|body| Answering::new(body, exchange)))
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(header_timeout)
            .max_buf_size(BUFFER)
            .serve_connection(io, answer);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = gives_way => return,
            () = async { drop(closing.wait_for(|closing| *closing).await) } => {
                connection.as_mut().graceful_shutdown();
                let half_sent = async {
                    tokio::time::sleep(HALF_SENT).await;
                    drop(exchange.acquire().await);
                    tokio::time::sleep(LAST_ANSWER).await;
                };
                tokio::select! {
                    ended = connection => ended,
                    () = half_sent => return,
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}

/// A stream whose writes fail once neither direction has moved for a while: its client reads no more.
struct Patient<S> {
    stream: S,
    patience: Duration,
    moved: Instant,
    /// Armed while a write waits.
    alarm: Option<Pin<Box<Sleep>>>,
    opening: http2::Opening,
}

impl<S> Patient<S> {
    fn new(stream: S, patience: Duration) -> Self {
        Self { stream, patience, moved: Instant::now(), alarm: None, opening: http2::Opening::default() }
    }

    /// Passes a write's outcome on, unless it has waited too long.
    fn watch<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.moved = Instant::now();
            self.alarm = None;
            return outcome;
        }
        let due = self.moved + self.patience;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if alarm.deadline() != due {
            alarm.as_mut().reset(due);
        }
        ready!(alarm.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read its answer")))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(cx, buf);
        if outcome.is_ready() {
            self.moved = Instant::now();
            if self.opening.is_preface_with(&buf.filled()[before..]) {
                // Nothing was written yet, so there is room for it.
                let _ = Pin::new(&mut self.stream).poll_write(cx, &http2::refusal());
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, "the client speaks HTTP/2")));
            }
        }
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::http::testing::{TestApp, read_all, send, session};

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_nothing_is_given_up_and_one_that_sends_meanwhile_is_not() {
        let (near, mut far) = tokio::io::duplex(16);
        let mut near = Patient::new(near, Duration::from_secs(30));
        let error = near.write_all(&[0; 100]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(far.read(&mut [0; 100]).await.unwrap(), 16);

        let (near, mut far) = tokio::io::duplex(16);
        let (mut reading, mut writing) = tokio::io::split(Patient::new(near, Duration::from_secs(30)));
        let client = async {
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_secs(20)).await;
                far.write_all(b"x").await.unwrap();
            }
            let mut answer = [0; 100];
            far.read_exact(&mut answer).await.unwrap();
        };
        let server = async {
            let write = writing.write_all(&[0; 100]);
            let read = async {
                let mut pieces = [0; 10];
                reading.read_exact(&mut pieces).await
            };
            let (written, read) = tokio::join!(write, read);
            written.unwrap();
            read.unwrap();
        };
        tokio::join!(client, server);
    }

    #[tokio::test]
    async fn http_2_is_refused_in_its_own_words() {
        let app = TestApp::start().await;
        let mut client = app.connect().await;
        client.write_all(b"PRI * ").await.unwrap();
        client.flush().await.unwrap();
        // Another connection is answered meanwhile, so the first piece was read.
        assert_eq!(app.get("/health").await.status, 200);
        client.write_all(b"HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
        let mut told = Vec::new();
        // The connection may be cut once the farewell is said.
        let _ = client.read_to_end(&mut told).await;
        assert_eq!(told[..9], [0, 0, 0, 4, 0, 0, 0, 0, 0], "settings come first");
        let farewell = &told[9..];
        assert_eq!((farewell[3], &farewell[9..13], &farewell[13..17]), (7, &[0; 4][..], &[0, 0, 0, 0xd][..]));
        assert!(String::from_utf8_lossy(&farewell[17..]).contains("speaks HTTP/1.1"), "{farewell:?}");
        assert_eq!(app.get("/health").await.status, 200);
    }

    #[tokio::test]
    async fn a_head_that_does_not_arrive_ends_the_connection() {
        let app = TestApp::with(|choice| choice.http.header_timeout = Duration::from_millis(50)).await;
        let mut slow = app.connect().await;
        slow.write_all(b"GET /health HTTP/1.1\r\nHost:").await.unwrap();
        read_all(&mut slow).await;
        assert_eq!(app.get("/health").await.status, 200);
    }

    /// Asks on a connection of its own; the first line of the answer.
    async fn ask(app: &TestApp, path: &str) -> String {
        let mut stream = app.connect().await;
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        read_all(&mut stream).await.lines().next().unwrap_or_default().to_owned()
    }

    #[tokio::test]
    async fn beyond_all_places_only_whoever_watches_the_process_is_answered() {
        let app = TestApp::with(|choice| choice.http.max_connections = 1).await;
        let mut first = app.connect().await;
        first.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        first.read_exact(&mut [0; 15]).await.unwrap();
        for path in ["/health", "/ready", "/metrics"] {
            assert!(ask(&app, path).await.starts_with("HTTP/1.1 200 "), "{path}");
        }
        assert!(ask(&app, "/api/v1/batch/stats").await.starts_with("HTTP/1.1 503 "));
        drop(first);
        while !ask(&app, "/api/v1/batch/stats").await.starts_with("HTTP/1.1 200 ") {}
    }

    #[tokio::test]
    async fn idle_connections_shut_nobody_out() {
        let app = TestApp::with(|choice| {
            crate::http::testing::add_keys(&mut choice.http);
            choice.http.max_connections = 8;
        })
        .await;
        let mut in_use = app.connect().await;
        let head = "GET /api/v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer admin\r\n\r\n";
        in_use.write_all(head.as_bytes()).await.unwrap();
        in_use.read_exact(&mut [0; 15]).await.unwrap();
        let mut idle = Vec::new();
        for n in 0..40 {
            let mut stream = app.connect().await;
            if n % 2 == 0 {
                stream.write_all(b"GET /api/v1/models HTTP/1.1\r\nHost:").await.unwrap();
            }
            idle.push(stream);
            if n % 10 == 9 {
                assert_eq!(app.get("/health").await.status, 200);
                assert_eq!(app.get_as("admin", "/metrics").await.status, 200);
                assert_eq!(app.get_as("admin", "/api/v1/models").await.status, 200);
            }
        }
        in_use.write_all(head.as_bytes()).await.unwrap();
        assert!(in_use.read(&mut [0; 100]).await.unwrap() > 0, "a connection in use is not the one that gives way");
    }

    #[tokio::test]
    async fn idle_connections_of_many_addresses_shut_nobody_out() {
        let app = TestApp::with(|choice| {
            crate::http::testing::add_keys(&mut choice.http);
            choice.http.max_connections = 8;
        })
        .await;
        let mut idle = Vec::new();
        for n in 0..8 {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind(([127, 0, 1, n % 2], 0).into()).unwrap();
            idle.push(socket.connect(app.address).await.unwrap());
        }
        // Those that give way take a moment to go.
        let begun = Instant::now();
        while app.get_as("admin", "/api/v1/models").await.status != 200 {
            assert!(begun.elapsed() < Duration::from_secs(5), "the idle ones of two addresses hold every place");
        }
    }

    #[tokio::test]
    async fn a_burst_of_connections_waits_in_line_and_is_not_turned_away() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        for n in 0..500 {
            let connected = tokio::time::timeout(Duration::from_millis(900), TcpStream::connect(address)).await;
            waiting.push(connected.unwrap_or_else(|_| panic!("connection {n} is asked to come again")).unwrap());
        }
    }

    #[tokio::test]
    async fn a_panic_is_a_500_and_the_process_lives() {
        async fn panics() {
            panic!("with a secret")
        }
        let routes = Router::new().route("/panic", get(panics)).route("/health", get(|| async {}));
        let app = TestApp::with(|choice| choice.routes = Some(routes)).await;
        let reply = app.get("/panic").await;
        reply.is_error(500, "internal");
        assert!(!reply.text.contains("secret"));
        assert_eq!(app.get("/health").await.status, 200);
    }

    #[tokio::test]
    async fn requests_in_flight_are_answered_on_shutdown_and_the_connection_closes() {
        let mut app = TestApp::start().await;
        let mut stream = app.connect().await;
        let body = session("a").to_string();
        let head = format!("POST /api/v1/score HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(head.as_bytes()).await.unwrap();
        // The request is in flight once another one, sent later, was answered.
        assert_eq!(send(app.request("GET", "/health").header("connection", "close")).await.status, 200);
        app.stop();
        stream.write_all(body.as_bytes()).await.unwrap();
        let answer = read_all(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
        app.stopped().await;
        assert!(TcpStream::connect(app.address).await.is_err());
    }
}
