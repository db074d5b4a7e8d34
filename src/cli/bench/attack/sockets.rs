//! Attacks that hold sockets: each is opened again when the node drops it, after a pause, so that the attack costs
//! little of the processors that it shares with the node.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::super::load::Target;

/// What each socket of an attack does once it is open.
#[derive(Clone)]
pub(super) struct Conduct {
    /// Sent at once.
    pub(super) head: String,
    /// Sent after it, a piece at a time.
    pub(super) piece: usize,
    pub(super) pieces: usize,
    /// Between two pieces.
    pub(super) every: Duration,
    /// Whether a socket is of use to the attacker only once it was answered with 200; it closes the others.
    pub(super) must_be_admitted: bool,
}

impl Conduct {
    /// Says `head` and no more.
    pub(super) fn saying(head: String, must_be_admitted: bool) -> Self {
        Self { head, piece: 0, pieces: 0, every: Duration::from_secs(1), must_be_admitted }
    }
}

/// What an attack did, and how the node answered.
#[derive(Default)]
pub(super) struct Sockets {
    open: Cell<usize>,
    samples: Cell<(usize, usize)>,
    opened: Cell<u64>,
    answers: RefCell<BTreeMap<String, u64>>,
}

impl Sockets {
    /// Notes how many are held now.
    pub(super) fn sample(&self) {
        let (sum, count) = self.samples.get();
        self.samples.set((sum + self.open.get(), count + 1));
    }

    fn note(&self, answer: &str) {
        *self.answers.borrow_mut().entry(answer.to_owned()).or_default() += 1;
    }
}

/// The figures of an attack that is over.
pub(super) struct Held {
    pub(super) on_average: f64,
    pub(super) opened: u64,
    /// Answers by status, and sockets that could not be opened.
    pub(super) answers: BTreeMap<String, u64>,
}

impl From<&Sockets> for Held {
    #[expect(clippy::cast_precision_loss, reason = "counts for a printed mean")]
    fn from(sockets: &Sockets) -> Self {
        let (sum, count) = sockets.samples.get();
        Self {
            on_average: sum as f64 / count.max(1) as f64,
            opened: sockets.opened.get(),
            answers: sockets.answers.borrow().clone(),
        }
    }
}

/// Holds `count` sockets, spread over `targets`, until `deadline`. Runs in a [`tokio::task::LocalSet`].
pub(super) fn hold(
    targets: &[Target],
    conduct: &Conduct,
    count: usize,
    reopen: Duration,
    deadline: Instant,
) -> Rc<Sockets> {
    let sockets = Rc::new(Sockets::default());
    for target in targets.iter().cycle().take(count) {
        let (target, conduct, sockets) = (target.clone(), conduct.clone(), Rc::clone(&sockets));
        tokio::task::spawn_local(tokio::time::timeout_at(deadline.into(), async move {
            loop {
                match target.stream().await {
                    Ok(stream) => {
                        sockets.opened.set(sockets.opened.get() + 1);
                        one(stream, &conduct, &sockets).await;
                    }
                    Err(_) => sockets.note("not opened"),
                }
                tokio::time::sleep(reopen).await;
            }
        }));
    }
    sockets
}

/// Counts a held socket until it is dropped.
struct Counted<'a>(&'a Cell<usize>);

impl<'a> Counted<'a> {
    fn new(count: &'a Cell<usize>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// One socket, until either side drops it.
async fn one(mut stream: TcpStream, conduct: &Conduct, sockets: &Sockets) {
    let mut counted = (!conduct.must_be_admitted).then(|| Counted::new(&sockets.open));
    if !conduct.head.is_empty() && stream.write_all(conduct.head.as_bytes()).await.is_err() {
        return;
    }
    let (mut reading, mut writing) = stream.split();
    let mut left = conduct.pieces;
    let piece = vec![b' '; conduct.piece];
    let mut tick = tokio::time::interval_at((Instant::now() + conduct.every).into(), conduct.every);
    let mut buffer = vec![0; 4 << 10];
    let mut answered = false;
    loop {
        tokio::select! {
            read = reading.read(&mut buffer) => {
                let Ok(length @ 1..) = read else { return };
                if answered {
                    continue;
                }
                answered = true;
                // `HTTP/1.1 200 ...`
                let status = String::from_utf8_lossy(buffer.get(9..12.min(length)).unwrap_or_default()).into_owned();
                sockets.note(&status);
                if conduct.must_be_admitted {
                    if status != "200" {
                        return;
                    }
                    counted.get_or_insert_with(|| Counted::new(&sockets.open));
                }
            }
            _ = tick.tick(), if left > 0 => {
                left -= 1;
                if writing.write_all(&piece).await.is_err() {
                    return;
                }
            }
        }
    }
}
