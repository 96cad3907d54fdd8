//! A served model among strangers: clients that are slow, that stay, that ask
//! under other names, for other folders, and for odd numbers.

mod answers;

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::common::Gym;
use crate::common::base::lasting;

/// Long enough for every machine; only what would never end meets it.
const NEVER: Duration = Duration::from_secs(120);

/// A small model of no use (`base`), with an adapter (`shelf/pupil`).
static MODEL: LazyLock<Gym> = LazyLock::new(|| {
    let gym = lasting();
    let text = |i: usize| json!({"text": format!("count to {i}: 1 2 3 4 5 6 7 8 9")}).to_string() + "\n";
    gym.write("text.jsonl", &(1..30).map(text).collect::<String>());
    let messages = json!([{"role": "user", "content": "count"}, {"role": "assistant", "content": "1 2"}]);
    gym.write("rows.jsonl", &format!("{}\n", json!({"messages": messages})));
    gym.must(&["train", "tokenizer", "--text", "text.jsonl", "--vocabulary", "300", "--out", "tokenizer"]);
    let from = ["train", "pretrain", "--text", "text.jsonl", "--tokenizer", "tokenizer"];
    let size = ["--width", "64", "--layers", "1", "--context", "64", "--steps", "2", "--out", "base"];
    gym.must(&[&from[..], &size].concat());
    let learn = ["train", "sft", "--model", "base", "--data", "rows.jsonl", "--lora", "4", "--steps", "1"];
    gym.must(&[&learn[..], &["--context", "64", "--out", "shelf/pupil"]].concat());
    gym
});

/// A server of its own process.
struct Served {
    child: Child,
    /// `127.0.0.1` and the port.
    at: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Served {
    fn start(gym: &Gym, flags: &[&str]) -> Self {
        let words = ["serve", "--model", "base", "--listen", "127.0.0.1:0", "--json"];
        Self::of(gym, &[&words[..], flags].concat())
    }

    fn of(gym: &Gym, words: &[&str]) -> Self {
        let mut command = gym.command(words);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let text = lines.map(Result::unwrap).take_while(|line| line != "}").collect::<String>() + "}";
        let told: Value = serde_json::from_str(&text).unwrap();
        let at = told["endpoint"].as_str().unwrap().strip_prefix("http://").unwrap();
        Self { child, at: at.strip_suffix("/v1").unwrap().to_owned() }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.at).unwrap();
        stream.set_read_timeout(Some(NEVER)).unwrap();
        stream.set_write_timeout(Some(NEVER)).unwrap();
        stream
    }

    /// Sends what it is given; the status and everything that comes back until the end.
    fn say(&self, words: &[u8]) -> (u16, String) {
        let mut stream = self.connect();
        stream.write_all(words).unwrap();
        let text = rest(&mut stream);
        let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.unwrap_or_else(|| panic!("no answer: {text:?}")), text)
    }

    fn get(&self, path: &str, headers: &str) -> (u16, String) {
        self.say(format!("GET {path} HTTP/1.1\r\nconnection: close\r\n{headers}\r\n").as_bytes())
    }

    fn post(&self, path: &str, body: &str) -> (u16, Value) {
        let (host, len) = (&self.at, body.len());
        let head = format!("POST {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
        let (status, text) = self.say(format!("{head}content-length: {len}\r\n\r\n{body}").as_bytes());
        let body = text.split_once("\r\n\r\n").unwrap().1;
        (status, serde_json::from_str(body).unwrap_or_else(|_| panic!("no JSON: {text}")))
    }

    /// The events of an answer in pieces, but for the last, which ends it.
    fn events(&self, path: &str, body: &str) -> Vec<Value> {
        let (host, len) = (&self.at, body.len());
        let head = format!("POST {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
        let (_, text) = self.say(format!("{head}content-length: {len}\r\n\r\n{body}").as_bytes());
        let mut events: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        assert_eq!(events.pop(), Some("[DONE]"), "{text}");
        events.into_iter().map(|event| serde_json::from_str(event).unwrap()).collect()
    }

    fn is_well(&self) -> bool {
        self.get("/health", &format!("host: {}\r\n", self.at)).0 == 200
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn ends(&mut self) -> ExitStatus {
        let begun = Instant::now();
        while begun.elapsed() < NEVER {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it does not end");
    }

    /// Waits until nobody is let in any more.
    fn stops_listening(&self) {
        let begun = Instant::now();
        while TcpStream::connect(&self.at).is_ok() {
            assert!(begun.elapsed() < NEVER, "it goes on listening");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Everything that comes until the other side ends it.
fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(e) if e.kind() == ErrorKind::ConnectionReset => {}
        Err(e) => panic!("the connection stays: {e}"),
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

const LONG: &str = r#"{"prompt": "count", "max_tokens": 4000, "ignore_eos": true, "stream": true}"#;

fn post(at: &str, body: &str) -> String {
    format!("POST /v1/completions HTTP/1.1\r\nhost: {at}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn clients_that_are_slow_to_ask_are_sent_away() {
    let served = Served::start(&MODEL, &["--patience", "1"]);
    let at = &served.at;
    for (begun, status) in [
        (String::new(), ""),
        ("GET /health HT".to_owned(), ""),
        (format!("GET /health HTTP/1.1\r\nhost: {at}\r\nx: "), ""),
        (format!("POST /v1/completions HTTP/1.1\r\nhost: {at}\r\ncontent-length: 99\r\n\r\n{{"), "408"),
        (
            format!("POST /v1/score HTTP/1.1\r\nhost: {at}\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{{\r\n"),
            "408",
        ),
        // An answer, and then silence.
        (format!("GET /health HTTP/1.1\r\nhost: {at}\r\n\r\n"), "200"),
    ] {
        let mut stream = served.connect();
        stream.write_all(begun.as_bytes()).unwrap();
        let said = rest(&mut stream);
        assert_eq!(said.split(' ').nth(1).unwrap_or_default(), status, "{begun:?}: {said}");
    }
    // A byte now and then is not enough.
    let mut stream = served.connect();
    let begun = Instant::now();
    let broken = loop {
        if let Err(error) = stream.write_all(b"x") {
            break error;
        }
        assert!(begun.elapsed() < NEVER, "it is listened to for ever");
        std::thread::sleep(Duration::from_millis(100));
    };
    assert!(matches!(broken.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{broken}");
    assert!(served.is_well());
}

#[test]
fn an_answer_takes_as_long_as_it_takes() {
    let gym = &MODEL;
    let script = gym.write("slow.jsonl", "{\"replies\": [\"hello\"]}\n");
    let words = ["dev", "model", "--script", &script, "--latency", "4000", "--patience", "1", "--json"];
    let served = Served::of(gym, &words);
    let (status, answer) = served.post("/v1/chat/completions", r#"{"messages": []}"#);
    assert_eq!((status, &answer["choices"][0]["message"]["content"]), (200, &json!("hello")), "{answer}");
}

#[test]
fn a_client_that_does_not_read_is_sent_away() {
    let served = Served::start(&MODEL, &["--patience", "1"]);
    let mut stream = served.connect();
    let request = format!("GET /v1/models HTTP/1.1\r\nhost: {}\r\n\r\n", served.at).repeat(500);
    let begun = Instant::now();
    let broken = loop {
        if let Err(error) = stream.write_all(request.as_bytes()) {
            break error;
        }
        assert!(begun.elapsed() < NEVER, "answers are written for ever");
    };
    assert!(matches!(broken.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{broken}");
    assert!(served.is_well());
}

#[test]
fn an_answer_that_nobody_waits_for_is_given_up() {
    let served = Served::start(&MODEL, &[]);
    let running = || {
        let (_, text) = served.get("/metrics", &format!("host: {}\r\n", served.at));
        let line = text.lines().find(|line| line.starts_with("swegym_requests_running ")).unwrap();
        line.rsplit(' ').next().unwrap().to_owned()
    };
    let many = LONG.replace("\"prompt\"", "\"n\": 60, \"prompt\"");
    let mut stream = served.connect();
    stream.write_all(post(&served.at, &many).as_bytes()).unwrap();
    let begun = Instant::now();
    while running() == "0" {
        assert!(begun.elapsed() < NEVER);
    }
    drop(stream);
    while running() != "0" {
        assert!(begun.elapsed() < NEVER);
        std::thread::sleep(Duration::from_millis(20));
    }
    let (_, text) = served.get("/metrics", &format!("host: {}\r\n", served.at));
    assert!(text.contains("swegym_answers_total 0"), "{text}");
}

#[test]
fn idle_connections_make_room_and_are_bounded() {
    let served = Served::start(&MODEL, &["--connections", "8"]);
    let files = || std::fs::read_dir(format!("/proc/{}/fd", served.child.id())).unwrap().count();
    let before = files();
    let mut held = Vec::new();
    for nth in 0..200 {
        let mut stream = served.connect();
        let begun = if nth % 2 == 0 { "" } else { "GET /health HTTP/1.1\r\n" };
        // Whoever was sent away already is none the worse.
        let _ = stream.write_all(begun.as_bytes());
        held.push(stream);
    }
    assert!(served.is_well());
    assert!(files() <= before + 9, "{} files", files());
}

#[test]
fn what_is_too_long_is_refused() {
    let served = Served::start(&MODEL, &[]);
    let long = format!("{{\"prompt\": \"{}\"}}", "x".repeat(5 << 20));
    let (status, answer) = served.post("/v1/completions", &long);
    assert_eq!((status, answer["error"]["code"].as_str()), (413, Some("request_too_large")), "{answer}");
    // The answer may be lost where we still write.
    let mut stream = served.connect();
    let head = format!("GET /health HTTP/1.1\r\nhost: {}\r\nx: {}\r\n\r\n", served.at, "x".repeat(1 << 20));
    let _ = stream.write_all(head.as_bytes());
    let said = rest(&mut stream);
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 431 "), "{said}");
    assert!(served.is_well());
}

#[test]
fn a_signal_ends_it_whatever_clients_do() {
    for signal in [Signal::INT, Signal::TERM] {
        let mut served = Served::start(&MODEL, &["--patience", "3600"]);
        let at = served.at.clone();
        let half = format!("POST /v1/score HTTP/1.1\r\nhost: {at}\r\ncontent-length: 99\r\n\r\n{{");
        let mut streams: Vec<_> = (0..4).map(|_| served.connect()).collect();
        for (stream, said) in
            streams.iter_mut().zip(["", "GET / HTTP/1.1\r\nho", half.as_str(), &post(&at, LONG)])
        {
            stream.write_all(said.as_bytes()).unwrap();
        }
        streams[3].read_exact(&mut [0; 20]).unwrap();
        served.signal(signal);
        assert_eq!(served.ends().code(), Some(0));
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut served = Served::start(&MODEL, &["--patience", "3600"]);
    let mut stream = served.connect();
    let half = format!("POST /v1/score HTTP/1.1\r\nhost: {}\r\ncontent-length: 99\r\n\r\n{{", served.at);
    stream.write_all(half.as_bytes()).unwrap();
    assert!(served.is_well());
    served.signal(Signal::INT);
    served.stops_listening();
    served.signal(Signal::INT);
    assert_eq!(served.ends().code(), Some(130));
}

#[test]
fn requests_under_other_names_and_of_other_pages_are_refused() {
    let gym = &MODEL;
    let served = Served::start(gym, &["--allow-host", "gpu.example"]);
    let script = gym.write("replies.jsonl", "{\"replies\": [\"hello\"]}\n");
    let scripted = Served::of(gym, &["dev", "model", "--script", &script, "--json"]);
    let port = served.at.rsplit(':').next().unwrap();
    for (headers, status) in [
        (format!("host: {}\r\n", served.at), 200),
        (format!("host: localhost:{port}\r\n"), 200),
        ("host: GPU.example\r\n".to_owned(), 200),
        (format!("host: {0}\r\norigin: http://{0}\r\n", served.at), 200),
        ("host: evil.example\r\n".to_owned(), 403),
        (format!("host: evil.example:{port}\r\norigin: http://evil.example:{port}\r\n"), 403),
        (String::new(), 403),
        (format!("host: {0}\r\nhost: evil.example\r\n", served.at), 403),
        (format!("host: {}\r\norigin: http://evil.example\r\n", served.at), 403),
        (format!("host: {}\r\norigin: http://localhost:1\r\n", served.at), 403),
        (format!("host: {}\r\norigin: null\r\n", served.at), 403),
        (format!("host: {}\r\nsec-fetch-site: cross-site\r\n", served.at), 403),
    ] {
        let (found, text) = served.get("/v1/models", &headers);
        assert_eq!(found, status, "{headers}: {text}");
        assert!(!text.to_lowercase().contains("access-control"), "{text}");
        assert!(status == 200 || text.contains("\"code\":\"forbidden\""), "{text}");
    }
    let preflight = format!(
        "OPTIONS /v1/completions HTTP/1.1\r\nhost: {}\r\norigin: http://evil.example\r\n\
         access-control-request-method: POST\r\nconnection: close\r\n\r\n",
        served.at
    );
    let (status, text) = served.say(preflight.as_bytes());
    assert!(status == 403 && !text.to_lowercase().contains("access-control-"), "{text}");
    assert_eq!(scripted.get("/v1/models", "host: evil.example\r\n").0, 403);
    let (status, answer) = scripted.post("/v1/chat/completions", r#"{"messages": []}"#);
    assert_eq!((status, &answer["choices"][0]["message"]["content"]), (200, &json!("hello")), "{answer}");
}

/// A place for adapters of each kind that must not be read, and their names.
fn lay_traps(gym: &Gym) -> Vec<String> {
    let outside = gym.path("outside");
    let files = ["adapter_config.json", "adapter_model.safetensors"];
    std::fs::create_dir_all(&outside).unwrap();
    gym.write("outside/adapter_config.json", r#"{"peft_type": "OUTSIDE"}"#);
    gym.write("outside/adapter_model.safetensors", "OUTSIDE");
    let trap = |name: &str| {
        let folder = gym.path(&format!("shelf/{name}"));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    };
    symlink(&outside, gym.path("shelf/link")).unwrap();
    symlink("/", gym.path("shelf/all")).unwrap();
    let linked = trap("linked");
    files.iter().for_each(|name| symlink(outside.join(name), linked.join(name)).unwrap());
    let magic = trap("magic");
    files.iter().for_each(|name| symlink("/proc/self/environ", magic.join(name)).unwrap());
    let fifo = trap("fifo");
    for name in files {
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, fifo.join(name), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    }
    let folders = trap("folders");
    files.iter().for_each(|name| std::fs::create_dir_all(folders.join(name)).unwrap());
    let device = trap("device");
    files.iter().for_each(|name| symlink("/dev/zero", device.join(name)).unwrap());
    let below =
        ["link", "all/etc", "linked", "magic", "fifo", "folders", "device", "no", "pupil/../../outside"];
    let below = below.map(|name| format!("{}/{name}", gym.path("shelf").display()));
    let others = ["outside", "no", "base"].map(|name| gym.path(name).display().to_string());
    let fixed = [
        "/",
        "/etc",
        "/proc/self",
        "/proc/self/cwd/outside",
        "/dev/fd",
        "/no",
        "",
        "outside",
        "\0",
        "\u{202e}",
    ];
    below.into_iter().chain(others).chain(fixed.map(str::to_owned)).collect()
}

#[test]
fn adapters_come_from_regular_files_below_named_folders() {
    let gym = Gym::new().like(&MODEL);
    let traps = lay_traps(&gym);
    let served = Served::start(&gym, &["--hot-swap", "--adapter-folder", "shelf"]);
    let load = |place: &str| {
        let body = json!({"lora_name": "pupil", "lora_path": place}).to_string();
        served.post("/v1/load_lora_adapter", &body)
    };
    let (status, refused) = load("/there/is/nothing");
    assert_eq!((status, refused["error"]["param"].as_str()), (400, Some("lora_path")), "{refused}");
    for trap in &traps {
        assert_eq!(load(trap), (400, refused.clone()), "{trap}");
    }
    let own = gym.path("shelf/pupil").display().to_string();
    assert_eq!(load(&own).0, 200);
    assert_eq!(load("shelf/pupil").0, 200, "where it was started, as it was named");
    symlink("pupil", gym.path("shelf/alias")).unwrap();
    assert_eq!(load("shelf/alias").0, 200, "a link that stays inside");
    gym.write("shelf/odd/adapter_config.json", r#"{"peft_type": "OTHER"}"#);
    gym.write("shelf/odd/adapter_model.safetensors", "");
    let (status, odd) = load("shelf/odd");
    assert!(status == 400 && odd.to_string().contains("adapter/adapter_config.json: peft_type"), "{odd}");
    let huge =
        r#"{"peft_type": "LORA", "r": 9000000000000000000, "lora_alpha": 1, "target_modules": ["q_proj"]}"#;
    gym.write("shelf/odd/adapter_config.json", huge);
    let (status, odd) = load("shelf/odd");
    assert!(status == 400 && odd.to_string().contains("it describes"), "{odd}");
    let (_, models) = served.get("/v1/models", &format!("host: {}\r\n", served.at));
    assert!(!models.contains(&*gym.folder.path().to_string_lossy()), "{models}");

    // The folder of --adapter is one, too; without --hot-swap there is none.
    let served = Served::start(&gym, &["--hot-swap", "--adapter", "pupil=shelf/pupil"]);
    let ask = |served: &Served, place: &str| {
        let body = json!({"lora_name": "other", "lora_path": place}).to_string();
        served.post("/v1/load_lora_adapter", &body).0
    };
    assert_eq!((ask(&served, &own), ask(&served, "shelf/alias"), ask(&served, "shelf/odd")), (200, 400, 400));
    assert_eq!(ask(&Served::start(&gym, &["--adapter-folder", "shelf"]), &own), 403);
}

#[test]
fn an_adapter_that_is_swapped_for_a_link_is_not_followed() {
    let gym = Gym::new().like(&MODEL);
    lay_traps(&gym);
    let served = Served::start(&gym, &["--hot-swap", "--adapter-folder", "shelf"]);
    let (place, aside, link) = (gym.path("shelf/pupil"), gym.path("shelf/aside"), gym.path("shelf/link"));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                std::fs::rename(&place, &aside).unwrap();
                std::fs::rename(&link, &place).unwrap();
                std::fs::rename(&place, &link).unwrap();
                std::fs::rename(&aside, &place).unwrap();
            }
        });
        let body = json!({"lora_name": "pupil", "lora_path": place}).to_string();
        let mut answers = [0, 0];
        for _ in 0..300 {
            let (status, answer) = served.post("/v1/load_lora_adapter", &body);
            assert!(!answer.to_string().contains("OUTSIDE"), "{answer}");
            answers[usize::from(status == 200)] += 1;
        }
        over.store(true, Ordering::Relaxed);
        assert!(answers.iter().all(|n| *n > 0), "{answers:?}: nothing was swapped");
    });
}

#[test]
fn numbers_out_of_range_are_refused() {
    let served = Served::start(&MODEL, &["--max-tokens", "8"]);
    let ask = |path: &str, given: &str| {
        let prompt = if path.contains("chat") {
            r#""messages": [{"role": "user", "content": "count"}]"#
        } else {
            r#""prompt": "count""#
        };
        served.post(path, &format!("{{{prompt}, {given}}}"))
    };
    let (chat, plain) = ("/v1/chat/completions", "/v1/completions");
    for given in [
        r#""temperature": -0.1"#,
        r#""temperature": 2.1"#,
        r#""temperature": 1e300"#,
        r#""temperature": "1""#,
        r#""temperature": true"#,
        r#""temperature": [1]"#,
        r#""top_p": -1"#,
        r#""top_p": 1.01"#,
        r#""top_p": "all""#,
        r#""top_k": -2"#,
        r#""top_k": 1e9"#,
        r#""top_k": 99999999999999999999"#,
        r#""n": 0"#,
        r#""n": -1"#,
        r#""n": 129"#,
        r#""n": 1.5"#,
        r#""n": "2""#,
        r#""max_tokens": -1"#,
        r#""max_tokens": 1.5"#,
        r#""max_tokens": "8""#,
        r#""max_tokens": 18446744073709551615"#,
        r#""max_tokens": 1e30"#,
        r#""max_completion_tokens": -5"#,
        r#""seed": 1.5"#,
        r#""seed": "x""#,
        r#""seed": 18446744073709551616"#,
        r#""presence_penalty": 2.5"#,
        r#""presence_penalty": "no""#,
        r#""frequency_penalty": -3"#,
        r#""frequency_penalty": 1e308"#,
        r#""stream": "yes""#,
        r#""stream": 1"#,
        r#""stop": 5"#,
        r#""stop": [5]"#,
        r#""model": 5"#,
    ] {
        for path in [chat, plain] {
            let (status, answer) = ask(path, given);
            let field = given.split('"').nth(1);
            let error = &answer["error"];
            assert_eq!(
                (status, error["type"].as_str(), error["param"].as_str()),
                (400, Some("invalid_request_error"), field),
                "{path} {given}: {answer}"
            );
            assert!(error["message"].is_string() && error["code"].is_string(), "{answer}");
        }
    }
    for (path, given, field) in [
        (chat, r#""logprobs": 5"#, "logprobs"),
        (chat, r#""logprobs": true, "top_logprobs": 21"#, "top_logprobs"),
        (chat, r#""logprobs": true, "top_logprobs": -1"#, "top_logprobs"),
        (plain, r#""logprobs": 21"#, "logprobs"),
        (plain, r#""logprobs": -1"#, "logprobs"),
        (plain, r#""logprobs": "3""#, "logprobs"),
        (plain, r#""echo": "yes""#, "echo"),
        (plain, r#""n": 128, "max_tokens": 4000"#, "n"),
    ] {
        let (status, answer) = ask(path, given);
        assert_eq!((status, answer["error"]["param"].as_str()), (400, Some(field)), "{given}: {answer}");
    }
    for given in [r#""temperature": NaN"#, r#""top_p": Infinity"#, r#""temperature": 1e999"#] {
        let (status, answer) = ask(plain, given);
        assert_eq!(
            (status, answer["error"]["type"].as_str()),
            (400, Some("invalid_request_error")),
            "{given}"
        );
    }
    for given in [
        r#""temperature": 2, "top_p": 0.5, "top_k": -1, "n": 2, "seed": -1, "presence_penalty": -2"#,
        r#""temperature": null, "top_p": null, "n": null, "max_tokens": null, "seed": null, "stop": null"#,
        r#""temperature": 0, "seed": 18446744073709551615, "max_tokens": 1, "logprobs": null, "stream": false"#,
    ] {
        for path in [chat, plain] {
            assert_eq!(ask(path, given).0, 200, "{path} {given}");
        }
    }
    assert!(served.is_well());
}
