//! `mine` and `gym` on projects of other languages than Python: real toolchains, and
//! registries of ours.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use swegym_core::Digest;
use swegym_sandbox::tool;

use crate::common::{Gym, rows};

/// A gym with the repositories that `languages.sh` makes of these words, mined.
fn mined(gym: Gym, repositories: &[&[&str]]) -> Gym {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/languages.sh");
    let mut words = vec!["mine"];
    for repository in repositories {
        let place = gym.path(repository[0]);
        let line = [script.as_os_str(), place.as_os_str()].into_iter().map(ToOwned::to_owned);
        let line = line.chain(repository.iter().map(|word| (*word).into()));
        tool::run("bash", line, Duration::from_secs(120)).unwrap();
        words.push(repository[0]);
    }
    gym.must(&[&words[..], &["--out", "raw"]].concat());
    gym
}

/// The lists of each task of a gym.
fn lists(gym: &Gym) -> BTreeMap<String, (Value, Value)> {
    let tasks = rows(&gym.read("gym/instances.jsonl"));
    let lists = |task: &Value| (task["FAIL_TO_PASS"].clone(), task["PASS_TO_PASS"].clone());
    tasks.iter().map(|task| (task["instance_id"].as_str().unwrap().to_owned(), lists(task))).collect()
}

#[test]
fn pull_requests_of_other_languages_become_tasks() {
    let gym = mined(Gym::new().founded(), &[&["node"], &["rust"], &["go"]]);
    let ran = gym.run(&["gym", "raw/instances.jsonl", "--repeats", "1", "--out", "gym"]);
    assert_eq!(ran.status.code(), Some(11), "{}", String::from_utf8_lossy(&ran.stderr));
    let expected = [
        ("small__go-1", json!(["TestEmptySteps"]), json!(["TestSteps", "TestSteps/parts"])),
        ("small__go-3", json!(["TestDeep"]), json!([])),
        (
            "small__node-1",
            json!(["test/walk.test.js > has no empty steps"]),
            json!(["test/walk.test.js > joins", "test/walk.test.js > steps > are parts"]),
        ),
        ("small__rust-1", json!(["empty_steps_are_none"]), json!(["joins", "parts"])),
        ("small__rust-3", json!(["the_last_step"]), json!([])),
    ];
    let expected = expected.map(|(id, flip, hold)| (id.to_owned(), (flip, hold)));
    assert_eq!(lists(&gym), BTreeMap::from(expected));
    let dropped = rows(&gym.read("gym/dropped.jsonl"));
    assert_eq!(dropped.len(), 1, "{dropped:?}");
    assert_eq!(
        (&dropped[0]["instance_id"], &dropped[0]["reason"]),
        (&json!("small__node-2"), &json!("no_failing_test"))
    );
    for recipe in rows(&gym.read("gym/prepare/recipes.jsonl")) {
        assert!(
            ["node v", "rustc ", "go "]
                .iter()
                .any(|tool| recipe["toolchain"].as_str().unwrap().starts_with(tool))
        );
        assert_eq!(
            recipe["left_out"],
            if recipe["language"] == "JavaScript" {
                json!(["test/walk.test.js > steps > are skipped # SKIP"])
            } else {
                json!([])
            }
        );
    }
    assert_eq!(gym.resolved("gold"), 5);
    assert_eq!(gym.resolved("empty"), 0);
    // Images are made again of recipes, and recipes are followed as they stand.
    let made: Value = serde_json::from_str(&gym.must(&["recipe", "gym", "--json", "--out", "made"])).unwrap();
    assert_eq!((&made["images"], &made["same"]), (&json!(5), &json!(5)), "{made:#}");
    let recipe = gym.read("gym/recipes/small__node/1.4.toml");
    assert!(recipe.contains("toolchain = \"node v"), "{recipe}");
    gym.write("gym/recipes/small__node/1.4.toml", &recipe.replace("runner = \"node", "runner = \"other"));
    let all = gym.read("raw/instances.jsonl");
    let of_node = |line: &&str| line.contains("small__node-1");
    gym.write(
        "raw/node.jsonl",
        &all.lines().filter(of_node).map(|line| format!("{line}\n")).collect::<String>(),
    );
    let words = ["gym", "raw/node.jsonl", "--repeats", "1", "--recipes", "gym/recipes", "--out", "followed"];
    assert_eq!(gym.run(&words).status.code(), Some(12));
    assert!(gym.read("followed/prepare/failures.jsonl").contains("the recipe says `other"));
    // Where results are written, there are two witnesses.
    for (task, cases) in [("small__node-1", 4), ("small__go-1", 3)] {
        let evidence = gym.read(&format!("eval-gold/evaluations/{task}/0/evidence.json"));
        let evidence: Value = serde_json::from_str(&evidence).unwrap();
        assert_eq!(evidence["structured"], json!({"cases": cases}), "{evidence:#}");
    }
}

/// Where the machine has nextest. Where it has not, cargo's own runner does the same.
#[test]
fn projects_of_nextest_are_run_by_it() {
    let has_it = tool::run("cargo-nextest", ["nextest", "--version"], Duration::from_secs(30)).is_ok();
    let gym = mined(Gym::new().founded(), &[&["rust", "nextest"]]);
    gym.must(&["gym", "raw/instances.jsonl", "--repeats", "1", "--out", "gym"]);
    let expected = [
        ("small__rust-1", json!(["empty_steps_are_none"]), json!(["joins", "parts"])),
        ("small__rust-3", json!(["the_last_step"]), json!([])),
    ];
    let expected = expected.map(|(id, flip, hold)| (id.to_owned(), (flip, hold)));
    assert_eq!(lists(&gym), BTreeMap::from(expected));
    let runner = if has_it { "cargo nextest run" } else { "cargo test" };
    for recipe in rows(&gym.read("gym/prepare/recipes.jsonl")) {
        assert_eq!(recipe["runner"], runner);
    }
    assert_eq!(gym.resolved("gold"), 2);
    assert_eq!(gym.resolved("empty"), 0);
    let evidence = gym.read("eval-gold/evaluations/small__rust-1/0/evidence.json");
    let evidence: Value = serde_json::from_str(&evidence).unwrap();
    let witness = if has_it { json!({"cases": 3}) } else { json!("not_offered") };
    assert_eq!(evidence["structured"], witness, "{evidence:#}");
}

#[test]
fn what_is_installed_is_of_the_commits_day_and_is_what_was_promised() {
    let gym = Gym::new().founded();
    let modules = modules(&gym);
    let registry = Registry::with(pages().into_iter().chain(modules).collect());
    let gym = mined(gym, &[&["node", "deps"], &["rust", "deps"], &["go", "deps"]]);
    let url = registry.url();
    let places = ["--npm-registry", &url, "--crates-index", &url, "--go-proxy", &url];
    let words = [&["gym", "raw/instances.jsonl", "--repeats", "1"], &places[..]].concat();
    gym.run(&[&words[..], &["--out", "gym"]].concat());
    let ids: Vec<String> = lists(&gym).into_keys().collect();
    let expected = ["small__go-1", "small__go-3", "small__node-1", "small__rust-1", "small__rust-3"];
    assert_eq!(ids, expected, "{}", gym.read("gym/prepare/failures.jsonl"));
    for recipe in rows(&gym.read("gym/prepare/recipes.jsonl")) {
        let until = recipe["until"].as_str().unwrap_or_default();
        // What Go takes stands in its files.
        assert!(until.starts_with("2024-06-01T") || recipe["language"] == "Go", "{recipe:#}");
    }
    assert_eq!(gym.resolved("gold"), 5);
    // What was fetched is enough from now on, and gives the same images.
    gym.run(&[&words[..], &["--network", "none", "--out", "again"]].concat());
    assert_eq!(gym.read("gym/instances.jsonl"), gym.read("again/instances.jsonl"));
}

#[test]
fn what_is_not_what_was_promised_is_not_installed() {
    let registry = Registry::serve_other_archives();
    let gym = mined(Gym::new().founded(), &[&["node", "deps"], &["rust", "deps"]]);
    let url = registry.url();
    let words =
        ["gym", "raw/instances.jsonl", "--npm-registry", &url, "--crates-index", &url, "--out", "gym"];
    assert_eq!(gym.run(&words).status.code(), Some(12));
    for failure in rows(&gym.read("gym/prepare/failures.jsonl")) {
        assert_eq!(failure["code"], "does_not_install", "{failure:#}");
        assert!(failure["message"].as_str().unwrap().contains("does not have the digest"), "{failure:#}");
    }
}

/// A registry of npm's packages and of crates. Of `tiny-parts` it has a release of before
/// the repositories' commits, and a later one that is of no use.
struct Registry(u16);

impl Registry {
    fn serve_other_archives() -> Self {
        let mut pages = pages();
        for (path, bytes) in &mut pages {
            if path.contains(".tgz") || path.contains("/download") {
                bytes.push(0);
            }
        }
        Self::with(pages)
    }

    fn with(pages: HashMap<String, Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        // Pages name the server that they are on.
        let here = |bytes: Vec<u8>| match String::from_utf8(bytes) {
            Ok(text) => text.replace("[here]", &format!("http://127.0.0.1:{port}")).into_bytes(),
            Err(error) => error.into_bytes(),
        };
        let pages: HashMap<String, Vec<u8>> =
            pages.into_iter().map(|(path, bytes)| (path, here(bytes))).collect();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let head: Vec<String> =
                    lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
                let path = head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
                let (status, body) =
                    pages.get(path).map_or(("404 Not Found", &[][..]), |body| ("200 OK", body));
                // A client that goes away is no concern of the others.
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(body);
            }
        });
        Self(port)
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.0)
    }
}

fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}

fn integrity(bytes: &[u8]) -> String {
    let program = "const c = require('crypto').createHash('sha512'); c.update(require('fs').readFileSync(0)); \
                   console.log('sha512-' + c.digest('base64'))";
    let said = tool::ask("node", ["-e", program], bytes.to_vec(), Duration::from_secs(30)).unwrap();
    String::from_utf8(said).unwrap().trim().to_owned()
}

/// A module as a proxy has it; what vouches for it is in `go.sum` beside the repositories.
const MODULE: &str = r#"
import base64, hashlib, json, os, sys, zipfile
folder, sums = sys.argv[1:]
os.makedirs(folder)
mod = "module example.org/parts\n\ngo 1.16\n"
code = "package parts\n\nimport \"strings\"\n\nfunc Parts(path string) []string { return strings.Split(path, \"/\") }\n"
files = {"example.org/parts@v1.0.0/go.mod": mod, "example.org/parts@v1.0.0/parts.go": code}
open(folder + "/v1.0.0.info", "w").write(json.dumps({"Version": "v1.0.0", "Time": "2024-01-01T00:00:00Z"}))
open(folder + "/v1.0.0.mod", "w").write(mod)
with zipfile.ZipFile(folder + "/v1.0.0.zip", "w") as archive:
    for name, text in files.items():
        archive.writestr(name, text)
def digest(files):
    lines = [hashlib.sha256(text.encode()).hexdigest() + "  " + name + "\n" for name, text in sorted(files.items())]
    return "h1:" + base64.b64encode(hashlib.sha256("".join(lines).encode()).digest()).decode()
what = "example.org/parts v1.0.0"
open(sums, "w").write(what + " " + digest(files) + "\n" + what + "/go.mod " + digest({"go.mod": mod}) + "\n")
"#;

fn modules(gym: &Gym) -> Vec<(String, Vec<u8>)> {
    let folder = gym.path("proxy");
    let words = [folder.to_string_lossy().into_owned(), gym.path("go.sum").to_string_lossy().into_owned()];
    let words = ["-c".to_owned(), MODULE.to_owned()].into_iter().chain(words);
    tool::run("python3", words, Duration::from_secs(30)).unwrap();
    let page = |entry: std::fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        (format!("/example.org/parts/@v/{name}"), std::fs::read(entry.path()).unwrap())
    };
    std::fs::read_dir(folder).unwrap().flatten().map(page).collect()
}

fn pages() -> HashMap<String, Vec<u8>> {
    let mut pages = HashMap::new();
    let (mut versions, mut times, mut lines) = (json!({}), json!({}), String::new());
    let releases = [
        ("1.0.0", "2024-01-01T00:00:00Z", "path.split('/')", "path.split('/').collect()"),
        ("1.1.0", "2025-01-01T00:00:00Z", "nothing", "nothing"),
    ];
    for (version, time, script, code) in releases {
        let manifest = json!({"name": "tiny-parts", "version": version});
        let text = format!("module.exports = (path) => {script};\n");
        let bytes = archive(&[("package/package.json", &manifest.to_string()), ("package/index.js", &text)]);
        let file = format!("/tiny-parts/-/tiny-parts-{version}.tgz");
        let dist = json!({"tarball": format!("[here]{file}"), "integrity": integrity(&bytes)});
        versions[version] = json!({"name": "tiny-parts", "version": version, "dist": dist});
        times[version] = json!(time);
        pages.insert(file, bytes);

        let folder = format!("tiny-parts-{version}");
        let manifest =
            format!("[package]\nname = \"tiny-parts\"\nversion = \"{version}\"\nedition = \"2021\"\n");
        let text = format!("pub fn parts(path: &str) -> Vec<&str> {{\n    {code}\n}}\n");
        let bytes = archive(&[
            (&format!("{folder}/Cargo.toml"), &manifest),
            (&format!("{folder}/src/lib.rs"), &text),
        ]);
        let line = json!({
            "name": "tiny-parts", "vers": version, "deps": [], "cksum": Digest::of(&bytes).hex(), "features": {},
            "yanked": false, "pubtime": time,
        });
        lines += &format!("{line}\n");
        pages.insert(format!("/crates/tiny-parts/{version}/download"), bytes);
    }
    let page =
        json!({"name": "tiny-parts", "dist-tags": {"latest": "1.1.0"}, "versions": versions, "time": times});
    pages.insert("/tiny-parts".to_owned(), page.to_string().into_bytes());
    pages.insert("/ti/ny/tiny-parts".to_owned(), lines.into_bytes());
    pages.insert("/config.json".to_owned(), json!({"dl": "[here]/crates"}).to_string().into_bytes());
    pages
}
