//! A real Chromium, driven by its own `DevTools` protocol over a pipe: pages are opened, clicked and typed into, and
//! whatever their consoles complain of is kept.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long anything in a page may take.
const PATIENCE: Duration = Duration::from_secs(30);
const PROGRAMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// A running browser with one page.
pub(crate) struct Page {
    child: Child,
    input: Option<ChildStdin>,
    messages: Receiver<Value>,
    events: VecDeque<Value>,
    next: u64,
    session: String,
    _profile: tempfile::TempDir,
}

/// How a page is shown.
#[derive(Clone, Copy)]
pub(crate) struct Look {
    pub(crate) name: &'static str,
    pub(crate) size: (u32, u32),
    pub(crate) dark: bool,
}

impl Look {
    pub(crate) const DESKTOP: Self = Self { name: "desktop-light", size: (1360, 900), dark: false };
    pub(crate) const ALL: [Self; 4] = [
        Self::DESKTOP,
        Self { name: "desktop-dark", size: (1360, 900), dark: true },
        Self { name: "phone-light", size: (390, 844), dark: false },
        Self { name: "phone-dark", size: (390, 844), dark: true },
    ];
}

impl Page {
    /// Starts the browser with an empty page.
    pub(crate) fn open() -> Self {
        let found = PROGRAMS.iter().find(|name| Command::new(name).arg("--version").output().is_ok());
        let program = found.expect(
            "Chromium is not installed, and these tests drive one: install Debian's package `chromium`, or another \
             system's whose `chromium` or `google-chrome` is on the PATH",
        );
        let profile = tempfile::tempdir().unwrap();
        // The protocol's pipe is at 3 and 4; what the browser prints is of no interest.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$0\" \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1", program])
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
            .args(["--remote-debugging-pipe", "--hide-scrollbars", "--disable-background-networking", "--disable-sync"])
            .args(["--disable-component-update", "--no-proxy-server", "--lang=en-GB", "--force-color-profile=srgb"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take(), child.stdout.take().unwrap());
        let (tell, messages) = channel();
        std::thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut message = Vec::new();
            while output.read_until(0, &mut message).is_ok_and(|read| read > 0) {
                message.pop();
                if tell.send(serde_json::from_slice(&message).unwrap()).is_err() {
                    return;
                }
                message.clear();
            }
        });
        let mut page = Self {
            child,
            input,
            messages,
            events: VecDeque::new(),
            next: 0,
            session: String::new(),
            _profile: profile,
        };
        let target = page.call("Target.createTarget", json!({"url": "about:blank"}))["targetId"].take();
        let attached = page.call("Target.attachToTarget", json!({"targetId": target, "flatten": true}));
        attached["sessionId"].as_str().unwrap().clone_into(&mut page.session);
        for domain in ["Page", "Runtime", "Log"] {
            page.call(&format!("{domain}.enable"), json!({}));
        }
        page.look(Look::DESKTOP);
        page
    }

    /// Sends a command and gives its result.
    #[expect(clippy::needless_pass_by_value, reason = "every caller makes the parameters on the spot")]
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let id = self.next;
        let mut message = json!({"id": id, "method": method, "params": params});
        if !self.session.is_empty() {
            message["sessionId"] = self.session.as_str().into();
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        let input = self.input.as_mut().unwrap();
        input.write_all(&bytes).unwrap();
        input.flush().unwrap();
        loop {
            let mut message = self.message(method);
            if message["id"] == id {
                assert!(message.get("error").is_none(), "{method}: {}", message["error"]);
                return message["result"].take();
            }
            self.events.push_back(message);
        }
    }

    fn message(&self, what: &str) -> Value {
        self.messages.recv_timeout(PATIENCE).unwrap_or_else(|e| panic!("{what}: {e}"))
    }

    /// Size and theme.
    pub(crate) fn look(&mut self, look: Look) {
        let (width, height) = look.size;
        let phone = width < 700;
        self.call(
            "Emulation.setDeviceMetricsOverride",
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": phone}),
        );
        let scheme = if look.dark { "dark" } else { "light" };
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    /// Opens an address and waits until it is loaded.
    pub(crate) fn go(&mut self, url: &str) {
        self.events.retain(|event| event["method"] != "Page.loadEventFired");
        self.call("Page.navigate", json!({"url": url}));
        let begun = Instant::now();
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            assert!(begun.elapsed() < PATIENCE, "{url} did not load");
            let message = self.message("load");
            self.events.push_back(message);
        }
    }

    /// The value of an expression in the page; promises are waited for.
    #[track_caller]
    pub(crate) fn eval(&mut self, expression: &str) -> Value {
        let params =
            json!({"expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true});
        let mut told = self.call("Runtime.evaluate", params);
        assert!(told.get("exceptionDetails").is_none(), "{expression}: {}", told["exceptionDetails"]);
        told["result"]["value"].take()
    }

    /// Waits until an expression is true; its value.
    #[track_caller]
    pub(crate) fn until(&mut self, expression: &str) -> Value {
        let ms = PATIENCE.as_millis() / 2;
        let told = self.eval(&format!(
            "new Promise(done => {{ const end = performance.now() + {ms}; (function look() {{ let value; \
             try {{ value = ({expression}); }} catch (error) {{ value = false; }} \
             if (value) done({{value}}); else if (performance.now() > end) done({{text: document.body.innerText}}); \
             else setTimeout(look, 20); }})(); }})"
        ));
        assert!(
            told.get("value").is_some(),
            "{expression} never came true in:\n{}",
            told["text"].as_str().unwrap_or("?")
        );
        told["value"].clone()
    }

    /// Waits until the page shows a text.
    #[track_caller]
    pub(crate) fn sees(&mut self, text: &str) {
        self.until(&format!("document.body.innerText.includes({})", json!(text)));
    }

    /// Clicks with the mouse on the middle of what `pick`, an expression, finds, once it is there and rests.
    #[track_caller]
    pub(crate) fn click(&mut self, pick: &str) {
        let at = self.until(&format!(
            "(() => {{ const e = {pick}; if (!e || e.disabled) return null; e.scrollIntoView({{block: 'center'}}); \
             const r = e.getBoundingClientRect(); if (r.width === 0) return null; \
             const [x, y] = [r.x + r.width / 2, r.y + r.height / 2]; const top = document.elementFromPoint(x, y); \
             if (!top || !(e.contains(top) || top.contains(e))) return null; \
             const last = window.aimed; window.aimed = {{e, x, y}}; \
             return last && last.e === e && last.x === x && last.y === y && {{x, y}}; }})()"
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let params = json!({"type": kind, "x": at["x"], "y": at["y"], "button": "left", "clickCount": 1});
            self.call("Input.dispatchMouseEvent", params);
        }
    }

    /// Drags what `pick` finds sideways, with the mouse.
    #[track_caller]
    pub(crate) fn drag(&mut self, pick: &str, by: f64) {
        let at = self.until(&format!(
            "(() => {{ const e = {pick}; if (!e) return null; e.scrollIntoView({{block: 'center'}}); \
             const r = e.querySelector('.grip').getBoundingClientRect(); \
             const [x, y] = [r.x + r.width / 2, r.y + r.height / 2]; \
             return e.contains(document.elementFromPoint(x, y)) && {{x, y}}; }})()"
        ));
        let (x, y) = (at["x"].as_f64().unwrap(), at["y"].as_f64().unwrap());
        for (kind, x) in
            [("mousePressed", x), ("mouseMoved", x + by / 2.0), ("mouseMoved", x + by), ("mouseReleased", x + by)]
        {
            let params = json!({"type": kind, "x": x, "y": y, "button": "left", "buttons": 1, "clickCount": 1});
            self.call("Input.dispatchMouseEvent", params);
        }
    }

    /// Clicks on the button or link with this text.
    #[track_caller]
    pub(crate) fn press(&mut self, text: &str) {
        self.click(&format!(
            "[...document.querySelectorAll('button, a, summary')].filter(e => e.offsetParent !== null && \
             e.textContent.trim() === {}).pop()",
            json!(text)
        ));
    }

    /// Presses a key: `Tab`, `Enter`, `Escape`, ` ` or an arrow.
    pub(crate) fn key(&mut self, key: &str) {
        let code = match key {
            " " => "Space",
            other => other,
        };
        let virtual_code = match key {
            "Tab" => 9,
            "Enter" => 13,
            "Escape" => 27,
            "ArrowLeft" => 37,
            "ArrowRight" => 39,
            _ => 32,
        };
        let text = match key {
            "Enter" => "\r",
            " " => " ",
            _ => "",
        };
        for kind in ["keyDown", "keyUp"] {
            let mut params = json!({"type": kind, "key": key, "code": code, "windowsVirtualKeyCode": virtual_code});
            if kind == "keyDown" && !text.is_empty() {
                params["text"] = text.into();
            }
            self.call("Input.dispatchKeyEvent", params);
        }
    }

    /// Types into what has the focus.
    pub(crate) fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", json!({"text": text}));
    }

    /// Writes what is seen, or with `whole` the whole page, to a file.
    pub(crate) fn shoot(&mut self, file: &Path, whole: bool) {
        let params = json!({"format": "png", "captureBeyondViewport": whole});
        let picture = self.call("Page.captureScreenshot", params)["data"].take();
        std::fs::write(file, decode(picture.as_str().unwrap())).unwrap();
    }

    /// What the consoles complained of since the last call: exceptions, errors, refused loads, broken policies.
    pub(crate) fn complaints(&mut self) -> Vec<String> {
        // A round trip brings what is on its way.
        self.eval("1");
        let text = |event: Value| {
            let params = &event["params"];
            match event["method"].as_str()? {
                "Runtime.exceptionThrown" => Some(params["exceptionDetails"].to_string()),
                "Runtime.consoleAPICalled" if ["error", "warning", "assert"].contains(&params["type"].as_str()?) => {
                    Some(params["args"].to_string())
                }
                "Log.entryAdded" if ["error", "warning"].contains(&params["entry"]["level"].as_str()?) => {
                    Some(format!("{} {}", params["entry"]["text"], params["entry"]["url"]))
                }
                _ => None,
            }
        };
        self.events.drain(..).filter_map(text).collect()
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // The end of its input ends the browser with all its processes.
        drop(self.input.take());
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(5) {
            match self.messages.recv_timeout(Duration::from_millis(200)) {
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
                Ok(_) | Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Base64.
fn decode(text: &str) -> Vec<u8> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut held) = (0u32, 0);
    for letter in text.bytes() {
        let Some(value) = LETTERS.iter().position(|l| *l == letter) else { continue };
        bits = (bits << 6) | u32::try_from(value).unwrap();
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from((bits >> held) & 0xff).unwrap());
        }
    }
    bytes
}
