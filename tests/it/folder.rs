//! The data folder of the embedded store: who may look into it, and what a node says when something is missing from it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::clients::{Told, fill};
use crate::process::{Process, binary};

/// Everything below `folder` with its mode, the folder first.
fn modes(folder: &Path) -> Vec<(PathBuf, bool, u32)> {
    let mode = |path: &Path| {
        let found = std::fs::metadata(path).unwrap();
        (path.to_owned(), found.is_dir(), found.permissions().mode() & 0o777)
    };
    let inside = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    std::iter::once(folder.to_owned()).chain(inside).map(|path| mode(&path)).collect()
}

fn assert_private(folder: &Path) {
    let found = modes(folder);
    assert!(found.len() > 1, "{found:?}");
    for (path, is_folder, mode) in found {
        assert_eq!(mode, if is_folder { 0o700 } else { 0o600 }, "{}: {mode:o}", path.display());
    }
}

fn run(args: &[&str], store: &str) -> Output {
    binary(&[("PLAYPROOF_STORE", store)]).args(args).output().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_may_read_data_and_copies_whatever_the_umask() {
    let place = tempfile::tempdir().unwrap();
    let (data, copy, restored) = (place.path().join("data"), place.path().join("copy"), place.path().join("restored"));
    let store = format!("embedded:{}", data.display());
    let node = Process::with_umask("000", &store, &[]);
    fill(&node.url, &Told::default(), 20).await;
    assert_private(&data);
    let shell = |command: &str, store: &str| {
        let program = env!("CARGO_BIN_EXE_playproof-batch");
        let script = format!("umask 000; exec {program} {command}");
        let done = Command::new("sh").args(["-c", &script]).env_clear().env("PLAYPROOF_STORE", store).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    shell(&format!("backup {}", copy.display()), &store);
    assert_private(&copy);
    shell(&format!("restore {}", copy.display()), &format!("embedded:{}", restored.display()));
    assert_private(&restored);
    node.kill();
    // What an earlier version left open is closed at the next start.
    for (path, is_folder, _) in modes(&data) {
        let open = std::fs::Permissions::from_mode(if is_folder { 0o755 } else { 0o644 });
        std::fs::set_permissions(path, open).unwrap();
    }
    let node = Process::on(&store, &[]);
    assert_private(&data);
    node.terminate();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_lost_its_database_is_refused_with_the_mend() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let store = format!("embedded:{}", data.display());
    let node = Process::on(&store, &[]);
    fill(&node.url, &Told::default(), 5).await;
    node.terminate();
    let database = data.join("playproof.sqlite");
    let away = place.path().join("away.sqlite");
    std::fs::rename(&database, &away).unwrap();
    for what in ["is missing", "is empty"] {
        for command in ["serve", "check"] {
            let refused = run(&[command], &store);
            let told =
                String::from_utf8_lossy(&refused.stderr).into_owned() + &String::from_utf8_lossy(&refused.stdout);
            assert_eq!(refused.status.code(), Some(1), "{command}: {told}");
            assert!(told.contains(what) && told.contains("restore a backup"), "{command}: {told}");
        }
        std::fs::write(&database, "").unwrap();
    }
    std::fs::rename(&away, &database).unwrap();
    assert!(run(&["check"], &store).status.success(), "the file that was put back is taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_names_the_keys_it_revives_and_revokes_those_that_were_revoked_since() {
    let place = tempfile::tempdir().unwrap();
    let folder = |name: &str| place.path().join(name);
    let store = |name: &str| format!("embedded:{}", folder(name).display());
    let admin = ("PLAYPROOF_ADMIN_KEYS", "admin-key-0123456789");
    let node = Process::on(&store("data"), &[admin]);
    let client = playproof_batch::tls::http_client().no_proxy().build().unwrap();
    let mut keys = Vec::new();
    for name in ["stays", "goes"] {
        let body = serde_json::json!({"role": "ingest", "deploymentId": "eu", "name": name});
        let made =
            client.post(format!("{}/api/v1/keys", node.url)).bearer_auth(admin.1).json(&body).send().await.unwrap();
        let made: serde_json::Value = made.json().await.unwrap();
        keys.push((made["id"].as_str().unwrap().to_owned(), made["key"].as_str().unwrap().to_owned()));
    }
    let copy = folder("copy").display().to_string();
    assert!(run(&["backup", &copy], &store("data")).status.success());
    let gone =
        client.delete(format!("{}/api/v1/keys/{}", node.url, keys[1].0)).bearer_auth(admin.1).send().await.unwrap();
    assert_eq!(gone.status(), 200);
    node.kill();

    let told = |output: Output| {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let plain = told(run(&["restore", &copy], &store("plain")));
    for (id, key) in &keys {
        assert!(plain.contains(&format!("{id} (ingest, deployment eu")) && !plain.contains(key), "{plain}");
    }
    assert!(plain.contains("--audit"), "{plain}");
    let data = folder("data").display().to_string();
    let mended = told(run(&["restore", &copy, "--audit", &data], &store("mended")));
    let (ended, valid) = mended.split_once("valid again").unwrap();
    assert!(ended.contains(&keys[1].0) && valid.contains(&keys[0].0) && !valid.contains(&keys[1].0), "{mended}");
    let node = Process::on(&store("mended"), &[admin]);
    for ((_, key), status) in keys.iter().zip([404, 401]) {
        let asked = client.get(format!("{}/api/v1/batch/result/none", node.url)).bearer_auth(key).send().await.unwrap();
        assert_eq!(asked.status().as_u16(), status);
    }
    node.terminate();
    assert!(run(&["audit", "verify"], &store("mended")).status.success(), "the chain goes on");
}

#[test]
fn a_backup_that_was_interrupted_is_begun_anew() {
    let place = tempfile::tempdir().unwrap();
    let (data, copy) = (place.path().join("data"), place.path().join("copy"));
    let store = format!("embedded:{}", data.display());
    assert!(run(&["migrate"], &store).status.success());
    std::fs::create_dir(&copy).unwrap();
    std::fs::write(copy.join("copying.sqlite"), "half of it").unwrap();
    let copied = run(&["backup", copy.to_str().unwrap()], &store);
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
    assert!(copy.join("playproof.sqlite").exists() && !copy.join("copying.sqlite").exists());
}
