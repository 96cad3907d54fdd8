//! What a package's own build code can reach, and what it can change: the index
//! through our mirror, and its own box.

use std::fs;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::Output;

use crate::common::index::{Index, Offered, USER};
use crate::common::{Gym, rows};

const MODULE: &str = "def double(x):\n    return 2 * x\n";

/// A project whose `setup.py` runs this first.
fn project(gym: &Gym, name: &str, code: &str, tests: &str) -> String {
    gym.write(&format!("{name}/setup.py"), &setup(name, code));
    gym.write(&format!("{name}/{name}.py"), MODULE);
    gym.write(&format!("{name}/test_{name}.py"), tests);
    format!("./{name}")
}

fn setup(name: &str, code: &str) -> String {
    format!(
        "{code}\nfrom setuptools import setup\nsetup(name='{name}', version='1.0', py_modules=['{name}'])\n"
    )
}

/// The one test is that build code wrote this file with this text.
fn wrote(file: &str, text: &str) -> String {
    format!("def test_it():\n    assert open('{file}').read() == {text:?}\n")
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn image(gym: &Gym, run: &str) -> String {
    let row = &rows(&gym.read(&format!("{run}/images.jsonl")))[0];
    assert_eq!(row["passing_tests"].as_array().unwrap().len(), 1, "{row}");
    row["image"].as_str().unwrap().to_owned()
}

/// Tries to get out of the box's network, and notes how.
const REACH: &str = r#"
import glob, os, socket
reached = []
def attempt(name, act):
    try:
        if act():
            reached.append(name)
    except OSError:
        pass
def ask(request):
    with socket.create_connection(('127.0.0.1', 3141), 20) as s:
        s.sendall(request.replace('\n', '\r\n').encode())
        said = s.makefile('rb').readline()
    return b' 200 ' in said
def abstract():
    with socket.socket(socket.AF_UNIX) as s:
        return s.connect('\0ABSTRACT') is None
def listed(file, word):
    return word.lower() in open(file).read().lower()
for address in ('127.0.0.1', '::1', 'localhost'):
    attempt('loopback', lambda: socket.create_connection((address, PORT), 5))
attempt('abstract', abstract)
for file in glob.glob('/proc/net/*') + glob.glob('/proc/[0-9]*/net/*'):
    attempt(file, lambda: os.path.isfile(file) and (listed(file, ':%04X ' % PORT) or listed(file, 'ABSTRACT')))
attempt('elsewhere', lambda: socket.create_connection(('1.1.1.1', 53), 5))
attempt('names', lambda: socket.getaddrinfo('example.org', 80))
attempt('connect', lambda: ask('CONNECT 127.0.0.1:PORT HTTP/1.1\nHost: 127.0.0.1:PORT\n\n'))
attempt('proxy', lambda: ask('GET http://127.0.0.1:PORT/simple/a/ HTTP/1.1\nHost: 127.0.0.1:PORT\n\n'))
attempt('proxy, our name', lambda: ask('GET http://127.0.0.1:PORT/simple/a/ HTTP/1.1\nHost: 127.0.0.1:3141\n\n'))
attempt('another host', lambda: ask('GET /simple/pip/ HTTP/1.1\nHost: 127.0.0.1:PORT\n\n'))
attempt('post', lambda: ask('POST /simple/pip/ HTTP/1.1\nHost: 127.0.0.1:3141\nContent-Length: 1\n\nx'))
attempt('paths', lambda: ask('GET /files/pip/../../../etc/passwd HTTP/1.1\nHost: 127.0.0.1:3141\n\n'))
attempt('large head', lambda: ask('GET /simple/pip/ HTTP/1.1\nHost: 127.0.0.1:3141\nX: ' + 'x' * 200000 + '\n\n'))
reached += [name for name, value in os.environ.items() if 'SECRET' in value or 'proxy' in name.lower()]
# The index itself answers, so that the rest says something.
assert ask('GET /simple/pip/ HTTP/1.1\nHost: 127.0.0.1:3141\n\n')
open('reached.txt', 'w').write(repr(reached))
"#;

#[test]
fn build_code_reaches_the_index_and_nothing_else() {
    let gym = Gym::new().founded();
    let loopback = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = loopback.local_addr().unwrap().port();
    let name = format!("swegym-test-{}", std::process::id());
    let _abstract = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let secret = USER.split_once(':').unwrap().1;
    let code = REACH.replace("ABSTRACT", &name).replace("PORT", &port.to_string()).replace("SECRET", secret);
    let curious = project(&gym, "curious", &code, &wrote("reached.txt", "[]"));
    // An index of the user's own, with a password that stays outside, and a
    // package that only it has.
    let index = Index::serve(vec![Offered::source(
        "ours",
        "1.0",
        &[("setup.py", &setup("ours", "")), ("ours.py", "")],
    )]);
    gym.write("curious/pyproject.toml", "[build-system]\nrequires = ['setuptools', 'ours']\n");
    let mut command = gym.command(&["build", &curious, "--out", "build"]);
    // A proxy that is used for nothing here.
    command.env("UV_INDEX", format!("mine={}", index.url())).env("NO_PROXY", "*");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", words(&output));
    image(&gym, "build");
    let asked = index.asked.lock().unwrap().clone();
    assert!(asked.contains(&"GET /files/ours-1.0.tar.gz".to_owned()), "{asked:?}");
    assert!(!String::from_utf8_lossy(&output.stderr).contains(secret));
}

/// Writes to whatever it finds that a later build might use.
const SPOIL: &str = r#"
import os
spoilt = 0
for top in ('/', '/mnt', '/srv', '/opt', '/root', '/tmp', '/var'):
    for folder, _, files in os.walk(top):
        if folder.startswith(('/proc', '/sys', '/dev', '/usr')) or '/setuptools' in folder or '/builds-v0' in folder:
            continue
        for file in files:
            path = os.path.join(folder, file)
            if not any(word in path for word in ('pytest', '.whl', 'pluggy', 'iniconfig', 'uv')):
                continue
            try:
                with open(path, 'r+b') as f:
                    f.write(b'raise SystemExit(0)\n#')
                spoilt += 1
            except OSError:
                pass
raise SystemExit('spoilt %d files' % spoilt)
"#;

#[test]
fn one_packages_build_code_does_not_change_another_packages_image() {
    let gym = Gym::new().founded();
    let honest = project(&gym, "honest", "open('built.txt', 'w').write('x')", &wrote("built.txt", "x"));
    gym.must(&["build", &honest, "--out", "alone"]);
    let hostile = project(&gym, "hostile", SPOIL, "def test_it():\n    pass\n");
    let output = words(&gym.run(&["build", &hostile, "--out", "hostile"]));
    let spoilt = output.split("spoilt ").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<u32>().ok());
    assert!(spoilt.is_some_and(|files| files > 10), "{output}");
    gym.must(&["build", &honest, "--out", "after"]);
    assert_eq!(image(&gym, "alone"), image(&gym, "after"));
}

#[test]
fn what_was_fetched_once_is_enough_and_is_checked_each_time() {
    let gym = Gym::new();
    let honest = project(&gym, "honest", "open('built.txt', 'w').write('x')", &wrote("built.txt", "x"));
    let nothing = gym.run(&["build", &honest, "--network", "none", "--out", "nothing"]);
    assert!(!nothing.status.success() && words(&nothing).contains("--network index"), "{}", words(&nothing));
    gym.must(&["build", &honest, "--out", "index"]);
    gym.must(&["build", &honest, "--network", "none", "--out", "none"]);
    assert_eq!(image(&gym, "index"), image(&gym, "none"));
    // The disk may lie, or somebody else may write to it.
    let kept: Vec<_> = fs::read_dir(gym.path("home/cache/files")).unwrap().flatten().collect();
    assert!(!kept.is_empty());
    for file in &kept {
        let mut bytes = fs::read(file.path()).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(file.path(), bytes).unwrap();
    }
    let refused = gym.run(&["build", &honest, "--network", "none", "--out", "refused"]);
    assert!(words(&refused).contains("was not fetched before"), "{}", words(&refused));
    gym.must(&["build", &honest, "--out", "again"]);
    assert_eq!(image(&gym, "index"), image(&gym, "again"));
}

#[test]
fn what_an_index_cannot_vouch_for_is_refused() {
    let made = |name: &str| Offered::source(name, "1.0", &[("setup.py", &setup(name, "")), ("x.py", "")]);
    let tampered = Offered { bytes: made("another").bytes, ..made("tampered") };
    let unchecked = Offered { fragment: String::new(), ..made("unchecked") };
    let weak = Offered { fragment: "#md5=d41d8cd98f00b204e9800998ecf8427e".into(), ..made("weak") };
    let index = Index::serve(vec![tampered, unchecked, weak]);
    let gym = Gym::new().founded();
    for (name, why) in [
        ("tampered", "`tampered-1.0.tar.gz` does not have the digest that the index gives"),
        ("unchecked", "the index gives no sha256 for `unchecked-1.0.tar.gz`"),
        ("weak", "the index gives no sha256 for `weak-1.0.tar.gz`"),
    ] {
        let project = project(&gym, "honest", "", "def test_it():\n    pass\n");
        gym.write("honest/pyproject.toml", &format!("[build-system]\nrequires = ['setuptools', '{name}']\n"));
        // As a requirement of the build, and as the package itself.
        for (package, run) in [(project, format!("needs-{name}")), (name.to_owned(), format!("is-{name}"))] {
            let mut command = gym.command(&["build", &package, "--out", &run]);
            let output = command.env("UV_INDEX", index.url()).output().unwrap();
            let words = words(&output);
            assert!(!output.status.success() && words.contains(why), "{package}: {words}");
            assert!(words.contains("hint: "), "{package}: {words}");
        }
    }
}

/// Older tools let it pass; what asks for it could not be installed at all.
#[test]
fn a_limit_that_is_no_version_does_not_stop_an_installation() {
    let index = Index::serve(vec![Offered::wheel("oddlimits", "1.0", "Requires-Dist: six (>=2011k)\n")]);
    let gym = Gym::new().founded();
    let tests = "import oddlimits\nimport six\n\n\ndef test_it():\n    assert six.PY3\n";
    let project = project(&gym, "honest", "", tests);
    let mut command = gym.command(&["build", &project, "--out", "build"]);
    let output = command.env("UV_INDEX", index.url()).output().unwrap();
    assert!(output.status.success(), "{}", words(&output));
    let row = &rows(&gym.read("build/images.jsonl"))[0];
    assert!(row["frozen"].to_string().contains("oddlimits==1.0"), "{row}");
}

/// Fills every place that it can write to.
const FILL: &str = r#"
import os
block, total = b'x' * (1 << 20), 0
for folder in ('/tmp', '/root', '/opt', '/opt/uv-cache', '/var/tmp', '/srv', '/mnt', '/dev/shm', '.'):
    try:
        with open(os.path.join(folder, 'filling'), 'wb', 0) as f:
            for _ in range(400):
                total += f.write(block)
    except OSError:
        pass
raise SystemExit('wrote %d MiB' % (total >> 20))
"#;

#[test]
fn the_disk_limit_holds_for_all_that_a_build_writes() {
    let gym = Gym::new().founded();
    let greedy = project(&gym, "greedy", FILL, "def test_it():\n    pass\n");
    let output = gym.run(&["build", &greedy, "--build-disk", "300", "--out", "build"]);
    let words = words(&output);
    let wrote = words.split("wrote ").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<u32>().ok());
    assert!(words.contains("--build-disk") || wrote.is_some_and(|mib| mib < 300), "{words}");
    // Nothing of it is left outside.
    let mut left = vec![gym.path("home")];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            assert_ne!(entry.file_name(), "filling", "{}", entry.path().display());
            if entry.file_type().unwrap().is_dir() {
                left.push(entry.path());
            }
        }
    }
}

#[test]
fn an_ordinary_user_builds_in_the_same_box() {
    if !fs::read_to_string("/proc/self/status").unwrap().contains("Uid:\t0") {
        // Then every other test already runs as one.
        return;
    }
    let gym = Gym::new();
    let loopback = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = loopback.local_addr().unwrap().port();
    let code = REACH.replace("PORT", &port.to_string());
    let curious = project(&gym, "curious", &code, &wrote("reached.txt", "[]"));
    fs::copy(env!("CARGO_BIN_EXE_swegym"), gym.path("swegym")).unwrap();
    fs::create_dir(gym.path("home")).unwrap();
    std::os::unix::fs::chown(gym.path("home"), Some(65534), Some(65534)).unwrap();
    fs::set_permissions(gym.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let build = ["./swegym", "build", &curious, "--python", "/usr/bin/python3", "--out", "home/build"];
    #[expect(clippy::disallowed_methods, reason = "a test starts the program it tests")]
    let mut command = std::process::Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).args(build);
    let output = command.current_dir(gym.folder.path()).env("SWEGYM_HOME", gym.home()).output().unwrap();
    assert!(output.status.success(), "{}", words(&output));
    image(&gym, "home/build");
}
