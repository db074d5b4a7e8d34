//! A node that is measured: `serve` as a process of its own, as operators run it, and what it takes of the machine.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The kernel counts processor time for other programs in this many ticks a second, on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

/// A running node; ended when dropped.
pub(super) struct Node {
    child: Child,
    /// `http://ADDRESS`.
    pub(super) url: String,
}

impl Node {
    /// Starts one on `store` (`PLAYPROOF_STORE`) with `settings` and nothing else of the environment, and with at most
    /// `open_files`; returns once it listens.
    pub(super) fn start(store: &str, settings: &[(&str, String)], open_files: Option<u64>) -> anyhow::Result<Self> {
        let own = getrlimit(Resource::Nofile);
        let fits = own.maximum.is_none_or(|most| open_files.is_none_or(|wanted| most >= wanted));
        anyhow::ensure!(fits, "this user may open fewer files than --open-files asks for");
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("serve")
            .env_clear()
            .env("PLAYPROOF_LISTEN", "127.0.0.1:0")
            .env("PLAYPROOF_STORE", store)
            .env("PLAYPROOF_MIN_FREE_DISK", "0B")
            .env("PLAYPROOF_LOG", "error")
            .envs(settings.iter().map(|(name, value)| (name, value.as_str())))
            .stdout(Stdio::piped());
        // The node inherits the limit of the moment it starts.
        setrlimit(Resource::Nofile, Rlimit { current: open_files.or(own.current), maximum: own.maximum })?;
        let child = command.spawn();
        setrlimit(Resource::Nofile, Rlimit { current: own.maximum, maximum: own.maximum })?;
        let mut node = Self { child: child?, url: String::new() };
        let mut line = String::new();
        let stdout = node.child.stdout.take().context("the node has no stdout")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let url = line.trim().strip_prefix("listening on ");
        url.context("the node did not start; the lines above say why")?.clone_into(&mut node.url);
        Ok(node)
    }

    /// Whether `/ready` answers 200 now.
    pub(super) fn is_ready(&self) -> anyhow::Result<bool> {
        let address = self.url.strip_prefix("http://").context("an address")?;
        let mut stream = TcpStream::connect(address)?;
        write!(stream, "GET /ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer.starts_with("HTTP/1.1 200 "))
    }

    /// How often its threads have gone to sleep so far: as often as something has woken them.
    pub(super) fn wake_ups(&self) -> anyhow::Result<u64> {
        let mut sum = 0;
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            sum += of_status(&thread?.path().join("status"), "voluntary_ctxt_switches:")?;
        }
        Ok(sum)
    }

    /// Memory that it has now, MiB: all of it, and what is no file's.
    pub(super) fn memory(&self) -> anyhow::Result<[f64; 2]> {
        Ok([self.mib("VmRSS:")?, self.mib("RssAnon:")?])
    }

    #[expect(clippy::cast_precision_loss, reason = "a process's memory in KiB is far below 2^53")]
    fn mib(&self, field: &str) -> anyhow::Result<f64> {
        let status = format!("/proc/{}/status", self.child.id());
        Ok(of_status(Path::new(&status), field)? as f64 / 1024.0)
    }

    /// Processor time that it has taken so far.
    pub(super) fn processor_time(&self) -> anyhow::Result<Duration> {
        processor_time(&format!("/proc/{}/stat", self.child.id()))
    }

    /// The most memory that it has had so far, MiB.
    pub(super) fn peak_memory(&self) -> anyhow::Result<f64> {
        self.mib("VmHWM:")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Its folder is thrown away with it.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A number that the kernel tells of a process or a thread.
fn of_status(path: &Path, field: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(path)?;
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.with_context(|| format!("the kernel tells no {field}"))?.parse()?)
}

/// Processor time that this process, the clients and the attackers, has taken so far.
pub(super) fn own_processor_time() -> anyhow::Result<Duration> {
    processor_time("/proc/self/stat")
}

/// Processor time that everything on this machine has taken so far.
pub(super) fn all_processor_time() -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().context("the kernel tells no processor time")?;
    // user, nice, system, idle, iowait, irq, softirq, steal
    let ticks = line.split_whitespace().skip(1).take(8).map(str::parse::<f64>).collect::<Result<Vec<_>, _>>()?;
    let busy =
        ticks.iter().enumerate().filter(|(place, _)| !matches!(place, 3 | 4)).map(|(_, ticks)| ticks).sum::<f64>();
    Ok(Duration::from_secs_f64(busy / TICKS_PER_SECOND))
}

fn processor_time(path: &str) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(path)?;
    // The program's name, in parentheses, may hold anything; user and system time are the 12th and 13th field after it.
    let (_, fields) = stat.rsplit_once(')').context("the kernel tells no program name")?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<f64>).sum::<Result<f64, _>>()?;
    Ok(Duration::from_secs_f64(ticks / TICKS_PER_SECOND))
}
