//! The original's own test, end to end and with real processes: `woodwide-sim` and a node that asks it, 50 sessions
//! queued, one manual run, 50 results from Woodwide. Run by `scripts/batch-test`, which builds both programs first.

use std::error::Error;
use std::io::{BufRead as _, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use playproof_batch::domain::id::SessionId;
use playproof_batch::generator::{Family, Shape, generate, to_json};
use serde_json::{Value, json};

const SESSIONS: usize = 50;
const KEY: &str = "sk_sim";

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Queues 50 sessions, runs one batch by hand, and shows 50 results from Woodwide.
#[derive(Clone, Parser)]
struct Args {
    /// Generation of the API: ga or beta
    #[arg(long, default_value = "ga")]
    api: String,
    /// The service answers nothing for fewer rows
    #[arg(long, default_value_t = 10)]
    rows: usize,
    /// The service answers nothing about rows that it first saw less than this ago
    #[arg(long, default_value = "0s")]
    age: String,
    /// Both generations, nothing below 10, 200 and 1,000 rows, nothing before each --ages: a line each
    #[arg(long)]
    all: bool,
    /// The ages of --all
    #[arg(long, default_value = "0s", value_delimiter = ',')]
    ages: Vec<String>,
    /// Address of a simulator that runs already
    #[arg(long)]
    service: Option<String>,
    /// Train a model there, print its id, and no more
    #[arg(long, requires = "service")]
    train: bool,
    /// A model that is there already
    #[arg(long, env = "ANOMALY_MODEL_ID")]
    model: Option<String>,
    /// Folder of the two programs
    #[arg(long)]
    programs: PathBuf,
}

/// A program that is killed when this goes.
struct Running {
    child: Child,
    url: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(command: &mut Command) -> Outcome<Running> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut line = String::new();
    BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
    let url = line.trim().strip_prefix("listening on ").ok_or(format!("{command:?} said {line:?}"))?.to_owned();
    Ok(Running { child, url })
}

fn program(folder: &Path, name: &str) -> Command {
    Command::new(folder.join(name))
}

/// Trains a model on the reference rows that calibrate nothing and gives its id.
async fn train(client: &reqwest::Client, sim: &str, api: &str) -> Outcome<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/reference/rows.csv.zst");
    let people = zstd::decode_all(std::fs::File::open(path)?)?;
    let lines = people.split_inclusive(|byte| *byte == b'\n').enumerate();
    let people: Vec<u8> =
        lines.filter(|(line, _)| *line == 0 || *line > 1000).flat_map(|(_, line)| line.iter().copied()).collect();
    let file = reqwest::multipart::Part::bytes(people).file_name("people.csv");
    let form = reqwest::multipart::Form::new();
    let (form, path) = match api {
        "ga" => (form.text("dataset_name", "people"), "/datasets"),
        _ => (form.text("name", "people"), "/api/datasets"),
    };
    let request = client.post(format!("{sim}{path}")).bearer_auth(KEY).multipart(form.part("file", file));
    let dataset: Value = request.send().await?.error_for_status()?.json().await?;
    let id = |value: &Value| value.as_str().map(str::to_owned).ok_or("no id in the answer");
    let request = match api {
        "ga" => client.post(format!("{sim}/models/train")).json(&json!({
            "model_type": "anomaly", "dataset_version_id": id(&dataset["version_id"])?,
        })),
        _ => client
            .post(format!("{sim}/api/models/anomaly/train?dataset_id={}", id(&dataset["id"])?))
            .form(&[("model_name", "people")]),
    };
    let model: Value = request.bearer_auth(KEY).send().await?.error_for_status()?.json().await?;
    Ok(id(&model["id"])?)
}

/// One manual run; how many of its results are from Woodwide, what it says going to `out`.
async fn run(args: &Args, out: &mut impl Write) -> Outcome<usize> {
    let client = playproof_batch::tls::http_client().no_proxy().build()?;
    let warm_up = format!("{},{}", args.rows, args.age);
    let mut simulator = program(&args.programs, "woodwide-sim");
    simulator.args(["--listen", "127.0.0.1:0", "--warm-up", &warm_up]);
    let own = if args.service.is_none() { Some(start(&mut simulator)?) } else { None };
    let running = own.as_ref().map(|sim| sim.url.as_str());
    let service = args.service.as_deref().or(running).ok_or("no service")?.trim_end_matches('/');
    // Of another simulator than its own it may know a model.
    let model = match &args.model {
        Some(model) if own.is_none() && !args.train => model.clone(),
        _ => train(&client, service, &args.api).await?,
    };
    if args.train {
        writeln!(out, "{model}")?;
        return Ok(SESSIONS);
    }
    let folder = tempfile::tempdir()?;
    let node = start(
        program(&args.programs, "playproof-batch")
            .env("PLAYPROOF_LISTEN", "127.0.0.1:0")
            .env("PLAYPROOF_STORE", format!("embedded:{}", folder.path().display()))
            .env("PLAYPROOF_SCHEDULER_AUTOSTART", "false")
            .env("PLAYPROOF_DETECTOR", "woodwide")
            .env("PLAYPROOF_LOG", "warn")
            .env("WOODWIDE_API", &args.api)
            .env("WOODWIDE_API_KEY", KEY)
            .env("WOODWIDE_BASE_URL", service)
            .env("ANOMALY_MODEL_ID", &model),
    )?;

    let mut ids = Vec::new();
    for n in 0..SESSIONS {
        let mut session = generate(Family::ALL[n % Family::ALL.len()], n as u64, Shape { movements: Some(120) });
        session.id = SessionId::parse(&format!("batch-test-{n:02}")).ok_or("a bad id")?;
        ids.push(session.id.as_str().to_owned());
        let answer = client.post(format!("{}/api/v1/score", node.url)).body(to_json(&session, true));
        let answer = answer.header("content-type", "application/json").send().await?.error_for_status()?;
        let answer: Value = answer.json().await?;
        if answer["status"] != "queued" {
            return Err(format!("not queued: {answer}").into());
        }
    }
    writeln!(out, "{SESSIONS} sessions queued; one manual run")?;
    let run = client.post(format!("{}/api/v1/batch/process", node.url)).send().await?.error_for_status()?;
    writeln!(out, "{}", run.text().await?)?;
    let mut right = 0;
    for id in ids {
        let request = client.get(format!("{}/api/v1/batch/result/{id}?wait=60s", node.url));
        let mut answer = Value::Null;
        // A run that is still waiting for a fresh dataset finishes by itself.
        for _ in 0..4 {
            let asked = request.try_clone().ok_or("the request has a body")?.timeout(Duration::from_secs(90));
            answer = asked.send().await?.json().await?;
            if answer["status"] != "queued" {
                break;
            }
        }
        let result = &answer["result"];
        right += usize::from(answer["status"] == "processed" && result["source"] == "woodwide");
        let (status, decision, source) = (&answer["status"], &result["decision"], &result["source"]);
        writeln!(out, "{id}  {status} {decision} {source} score {}", result["anomalyScore"])?;
    }
    writeln!(out, "{right} of {SESSIONS} results from woodwide")?;
    Ok(right)
}

/// Every case, a line each; how many results were not from Woodwide.
async fn run_all(args: &Args) -> Outcome<usize> {
    let mut missing = 0;
    for age in &args.ages {
        for rows in [10, 200, 1000] {
            for api in ["ga", "beta"] {
                let case = Args { api: api.to_owned(), rows, age: age.clone(), ..args.clone() };
                let began = Instant::now();
                let right = run(&case, &mut std::io::sink()).await?;
                let took = began.elapsed().as_secs_f64();
                writeln!(
                    std::io::stdout(),
                    "{api:<4}  empty below {rows:>4} rows or before {age:>3}: {right} of {SESSIONS} results from woodwide in {took:.1} s"
                )?;
                missing += SESSIONS - right;
            }
        }
    }
    Ok(missing)
}

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) if args.all => runtime.block_on(run_all(&args)),
        Ok(runtime) => runtime.block_on(run(&args, &mut std::io::stdout())).map(|right| SESSIONS - right),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(missing) => ExitCode::from(u8::from(missing != 0)),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "batch-test: {error}");
            ExitCode::FAILURE
        }
    }
}
