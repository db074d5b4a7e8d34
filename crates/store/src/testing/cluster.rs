//! A PostgreSQL of the tests' own: made in a temporary folder from the installed programs, gone when the test process
//! is, however that ends. `PLAYPROOF_TEST_POSTGRES` names a running one to use in its place.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock};

/// Makes a cluster, or a standby of the one on the port PRIMARY, and obeys lines on its input: start, stop, kill, tls. Ends
/// with the input, and takes everything along.
const KEEPER: &str = r#"
set -u
cd "$FOLDER" || exit 1
export LC_ALL=C
if [ -n "$PRIMARY" ]; then
    "$BIN/pg_basebackup" -D data -h 127.0.0.1 -p "$PRIMARY" -U postgres -R -X stream -c fast --no-sync >log 2>&1
else
    "$BIN/initdb" -D data -U postgres -A trust -E UTF8 --no-sync >log 2>&1
fi || { echo "no cluster"; cat log >&2; exit 1; }
start() {
    for _ in $(seq 600); do
        "$BIN/postgres" -D data -p "$PORT" -c listen_addresses=127.0.0.1 -c unix_socket_directories="$FOLDER" \
            -c fsync="$FSYNC" -c max_connections=300 -c log_min_messages=warning $OPTIONS >>log 2>&1 </dev/null &
        pid=$!
        while kill -0 "$pid" 2>/dev/null; do
            "$BIN/pg_isready" -q -h 127.0.0.1 -p "$PORT" -U postgres -d postgres && return 0
            sleep 0.05
        done
        sleep 0.05
    done
    cat log >&2
    return 1
}
start || { echo "no start"; exit 1; }
echo ready
while read -r word; do
    case "$word" in
        stop) kill -INT "$pid"; wait "$pid" ;;
        kill) kill -KILL "$pid"; wait "$pid" 2>/dev/null ;;
        start) start || { echo "no start"; exit 1; } ;;
        # From now on with a certificate for 127.0.0.1, from an authority whose own is in ca.pem.
        tls) kill -INT "$pid"; wait "$pid"
            key="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
            { openssl req -x509 $key -keyout ca.key -out ca.pem -subj /CN=authority -days 2 &&
                openssl req $key -keyout server.key -out server.csr -subj /CN=server &&
                echo subjectAltName=IP:127.0.0.1 >names &&
                openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.crt \
                    -extfile names -days 2; } >>log 2>&1 || { echo "no certificate"; cat log >&2; exit 1; }
            chmod 755 .
            printf "ssl = on\nssl_cert_file = '$FOLDER/server.crt'\nssl_key_file = '$FOLDER/server.key'\n" \
                >>data/postgresql.conf
            start || { echo "no start"; exit 1; } ;;
    esac
    echo "$word"
done
kill -INT "$pid" 2>/dev/null
wait "$pid"
cd /
rm -rf "$FOLDER"
"#;

/// A running database server.
pub struct Cluster {
    /// Where it listens.
    pub port: u16,
    /// What it keeps, and its certificates.
    pub folder: PathBuf,
    keeper: Mutex<(Child, ChildStdin, BufReader<ChildStdout>)>,
}

/// Where the server's programs are.
#[must_use]
pub fn programs() -> PathBuf {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|versions| versions.flatten().map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        found.push(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    }
    found.retain(|bin| bin.join("initdb").exists());
    found.sort();
    found.pop().expect(
        "PostgreSQL is not installed, and these tests need one: install Debian's package `postgresql`, or name a running \
         server whose user may make schemas with PLAYPROOF_TEST_POSTGRES=postgres://USER:PASSWORD@HOST/DATABASE",
    )
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}

/// A user other than root, which the server refuses to run as.
fn other_user() -> &'static str {
    let postgres = Command::new("id").arg("postgres").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if postgres.is_ok_and(|status| status.success()) { "postgres" } else { "nobody" }
}

impl Cluster {
    /// Makes and starts one. With `durable` it syncs as a real one does.
    #[must_use]
    pub fn start(durable: bool) -> Self {
        Self::made(durable, None)
    }

    /// Makes and starts a standby that follows this one.
    #[must_use]
    pub fn standby(&self) -> Self {
        Self::made(false, Some(self.port))
    }

    fn made(durable: bool, primary: Option<u16>) -> Self {
        let folder = tempfile::Builder::new().prefix("playproof-pg-").tempdir().unwrap().keep();
        let mut command = if is_root() {
            let user = other_user();
            let owned = Command::new("chown").arg(user).arg(&folder).status().unwrap();
            assert!(owned.success(), "could not give {} to {user}", folder.display());
            let mut command = Command::new("setpriv");
            command.args(["--reuid", user, "--regid", "nogroup", "--clear-groups", "bash", "-c", KEEPER]);
            command
        } else {
            let mut command = Command::new("bash");
            command.args(["-c", KEEPER]);
            command
        };
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut child = command
            .env("FOLDER", &folder)
            .env("BIN", programs())
            .env("PORT", port.to_string())
            .env("FSYNC", if durable { "on" } else { "off" })
            .env("OPTIONS", "")
            .env("PRIMARY", primary.map(|port| port.to_string()).unwrap_or_default())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let cluster = Self { port, folder, keeper: Mutex::new((child, input, output)) };
        cluster.expect("ready");
        cluster
    }

    fn expect(&self, word: &str) {
        let mut line = String::new();
        self.keeper.lock().unwrap().2.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), word, "PostgreSQL did not do as told");
    }

    /// A word that the keeper knows; done when this returns.
    pub fn tell(&self, word: &str) {
        writeln!(self.keeper.lock().unwrap().1, "{word}").unwrap();
        self.expect(word);
    }

    /// The address of its database.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres?sslmode=disable", self.port)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let keeper = self.keeper.get_mut().unwrap();
        // The end of its input is what the keeper waits for.
        let input = std::mem::replace(&mut keeper.1, dead_end());
        drop(input);
        let _ = keeper.0.wait();
        // Where the keeper could not do it any more.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// An input that nobody reads.
fn dead_end() -> ChildStdin {
    Command::new("true").stdin(Stdio::piped()).spawn().unwrap().stdin.take().unwrap()
}

/// The address of the server that all tests of this process share; each works in a schema of its own.
#[expect(clippy::disallowed_methods, reason = "who runs the tests may name a server in the environment")]
#[must_use]
pub fn shared() -> &'static str {
    static URL: OnceLock<(String, Option<Cluster>)> = OnceLock::new();
    let (url, _) = URL.get_or_init(|| {
        if let Ok(url) = std::env::var("PLAYPROOF_TEST_POSTGRES") {
            return (url, None);
        }
        let cluster = Cluster::start(false);
        (cluster.url(), Some(cluster))
    });
    url
}

/// `url` with a new, empty schema as its place.
#[must_use]
pub fn schema_in(url: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("t{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    psql(url, &format!("CREATE SCHEMA {name}"));
    let sign = if url.contains('?') { '&' } else { '?' };
    format!("{url}{sign}options=-csearch_path%3D{name}")
}

/// Runs SQL; what it prints.
#[expect(clippy::must_use_candidate, reason = "most statements print nothing")]
pub fn psql(url: &str, sql: &str) -> String {
    psql_in(Path::new("."), url, &["-c", sql])
}

/// Runs the client in a folder; what it prints.
pub fn psql_in(folder: &Path, url: &str, arguments: &[&str]) -> String {
    let client = ["/usr/bin/psql"].iter().map(Path::new).find(|path| path.exists());
    let client = client.map_or_else(|| programs().join("psql"), Path::to_path_buf);
    let output = Command::new(client)
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", url])
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
