//! The node under attack: `serve` as a process of its own, as operators run it, and what it takes of the machine.

use std::io::{BufRead as _, BufReader};
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
    /// Starts one on `folder` with `settings` and nothing else of the environment, and with at most `open_files`.
    pub(super) fn start(folder: &Path, settings: &[(&str, String)], open_files: u64) -> anyhow::Result<Self> {
        let own = getrlimit(Resource::Nofile);
        let fits = own.maximum.is_none_or(|most| most >= open_files);
        anyhow::ensure!(fits, "this user may open fewer files than --open-files {open_files} asks for");
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("serve")
            .env_clear()
            .env("PLAYPROOF_LISTEN", "127.0.0.1:0")
            .env("PLAYPROOF_STORE", format!("embedded:{}", folder.display()))
            .env("PLAYPROOF_MIN_FREE_DISK", "0B")
            .env("PLAYPROOF_LOG", "error")
            .envs(settings.iter().map(|(name, value)| (name, value.as_str())))
            .stdout(Stdio::piped());
        // The node inherits the limit of the moment it starts.
        setrlimit(Resource::Nofile, Rlimit { current: Some(open_files), maximum: own.maximum })?;
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

    /// Processor time that it has taken so far.
    pub(super) fn processor_time(&self) -> anyhow::Result<Duration> {
        processor_time(&format!("/proc/{}/stat", self.child.id()))
    }

    /// The most memory that it has had so far, MiB.
    pub(super) fn peak_memory(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()).context("the kernel tells no VmHWM")?;
        Ok(kib.parse::<f64>()? / 1024.0)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Its folder is thrown away with it.
        drop(self.child.kill());
        drop(self.child.wait());
    }
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
