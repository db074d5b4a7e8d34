//! The real binary as a child process: started on a free port, asked over real sockets, ended by real signals.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Where nodes keep what they take.
pub(crate) struct Place {
    /// As `PLAYPROOF_STORE` takes it.
    pub(crate) url: String,
    _folder: Option<tempfile::TempDir>,
}

impl Place {
    /// A folder of its own.
    pub(crate) fn embedded() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { url: format!("embedded:{}", folder.path().display()), _folder: Some(folder) }
    }

    /// A schema of its own on the tests' PostgreSQL.
    pub(crate) fn postgres() -> Self {
        Self { url: crate::cluster::schema_in(crate::cluster::shared()), _folder: None }
    }
}

/// Makes two tests of each function from a [`Place`]: one for each store.
macro_rules! on_both_stores {
    ($($test:ident),* $(,)?) => {
        mod embedded { $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(crate::process::Place::embedded()).await;
            }
        )* }
        mod postgres { $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test(crate::process::Place::postgres()).await;
            }
        )* }
    };
}
pub(crate) use on_both_stores;

/// A running `playproof-batch serve`.
pub(crate) struct Process {
    child: Child,
    /// `http://ADDRESS`
    pub(crate) url: String,
    /// From start to ready.
    pub(crate) ready_after: Duration,
}

/// The program that is tested.
const PROGRAM: &str = env!("CARGO_BIN_EXE_playproof-batch");

/// The binary with a clean environment but for `settings`.
pub(crate) fn binary(settings: &[(&str, &str)]) -> Command {
    program(PROGRAM, settings)
}

fn program(path: &str, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(path);
    command
        .env_clear()
        .env("PLAYPROOF_LOG", "error")
        .env("PLAYPROOF_MIN_FREE_DISK", "0B")
        .envs(settings.iter().copied());
    command
}

impl Process {
    /// Starts a node on `folder` and waits until it is ready.
    pub(crate) fn start(folder: &Path, settings: &[(&str, &str)]) -> Self {
        Self::on(&format!("embedded:{}", folder.display()), settings)
    }

    /// Starts a node on a store and waits until it is ready.
    pub(crate) fn on(store: &str, settings: &[(&str, &str)]) -> Self {
        Self::of(PROGRAM, store, settings)
    }

    /// The same with another build of the program.
    pub(crate) fn of(path: &str, store: &str, settings: &[(&str, &str)]) -> Self {
        Self::spawn(&mut program(path, settings), store, Stdio::inherit()).unwrap().ready()
    }

    /// Starts a node of another build of the program, and waits for nothing.
    pub(crate) fn starting(path: &str, store: &str, settings: &[(&str, &str)]) -> Self {
        let mut command = program(path, settings);
        command.env("PLAYPROOF_LISTEN", "127.0.0.1:0").env("PLAYPROOF_STORE", store).stdout(Stdio::null());
        Self { child: command.spawn().unwrap(), url: String::new(), ready_after: Duration::ZERO }
    }

    /// Starts a node that logs everything into a file.
    pub(crate) fn logging_to(log: std::fs::File, store: &str, settings: &[(&str, &str)]) -> Self {
        let mut command = program(PROGRAM, settings);
        command.env("PLAYPROOF_LOG", "trace");
        Self::spawn(&mut command, store, log.into()).unwrap().ready()
    }

    /// Starts a node under a umask and waits until it is ready.
    pub(crate) fn with_umask(umask: &str, store: &str, settings: &[(&str, &str)]) -> Self {
        let mut command = program("sh", settings);
        command.args(["-c", &format!("umask {umask}; exec {PROGRAM}")]);
        Self::spawn(&mut command, store, Stdio::inherit()).unwrap().ready()
    }

    /// Starts a node that sees the disks of process `namespace`, and waits until it listens.
    pub(crate) fn within(namespace: u32, kinds: &[&str], store: &str, settings: &[(&str, &str)]) -> Self {
        let mut command = program("nsenter", settings);
        command.args(["--target", &namespace.to_string()]).args(kinds);
        if kinds.contains(&"--user") {
            command.arg("--preserve-credentials");
        }
        command.arg(PROGRAM);
        Self::spawn(&mut command, store, Stdio::inherit()).unwrap()
    }

    fn ready(self) -> Self {
        let mut process = self;
        let begun = Instant::now();
        while process.status_of("/ready") != Some(200) {
            assert!(begun.elapsed() < Duration::from_secs(30), "not ready after 30 s");
        }
        process.ready_after += begun.elapsed();
        process
    }

    /// Starts a node and waits until it listens; `None` when it ends instead.
    pub(crate) fn begin(store: &str, settings: &[(&str, &str)]) -> Option<Self> {
        Self::spawn(&mut binary(settings), store, Stdio::inherit())
    }

    fn spawn(command: &mut Command, store: &str, log: Stdio) -> Option<Self> {
        let begun = Instant::now();
        if command.get_envs().all(|(name, _)| name != "PLAYPROOF_LISTEN") {
            command.env("PLAYPROOF_LISTEN", "127.0.0.1:0");
        }
        let mut child = command.env("PLAYPROOF_STORE", store).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let Some(url) = line.trim().strip_prefix("listening on ").map(str::to_owned) else {
            child.kill().unwrap();
            child.wait().unwrap();
            return None;
        };
        Some(Self { child, url, ready_after: begun.elapsed() })
    }

    /// The status of a GET, asked by hand so that no runtime is needed.
    fn status_of(&self, path: &str) -> Option<u16> {
        use std::io::{Read as _, Write as _};
        let address = self.url.strip_prefix("http://")?;
        let mut stream = std::net::TcpStream::connect(address).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.split(' ').nth(1)?.parse().ok()
    }

    /// SIGKILL, and the process is gone when this returns.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Its number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has ended; the exit status.
    pub(crate) fn ended(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// SIGTERM; the exit status and how long it took.
    pub(crate) fn terminate(mut self) -> (ExitStatus, Duration) {
        let begun = Instant::now();
        self.signal("TERM");
        (self.child.wait().unwrap(), begun.elapsed())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A failed test must not leave a node behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
