//! Instances of a small project, agents that work on them, and a model behind an address.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::LazyLock;

use serde_json::{Value, json};

use super::base::lasting;
use super::{Gym, rows};

const MODULE: &str = "def double(x):\n    if x < 0:\n        return -2 * -x\n    return 2 * x\n\n\ndef clamp(x, low, high):\n    if x < low:\n        return low\n    if x > high:\n        return high\n    return x\n";
const TESTS: &str = "import toy\n\n\ndef test_double():\n    assert toy.double(3) == 6\n    assert toy.double(-3) == -6\n\n\ndef test_clamp():\n    assert toy.clamp(5, 0, 3) == 3\n    assert toy.clamp(-5, 0, 3) == 0\n    assert toy.clamp(2, 0, 3) == 2\n";

/// Some instances, made by the real thing.
static MADE: LazyLock<Gym> = LazyLock::new(|| {
    let gym = lasting().founded();
    let project = gym.project("toy", MODULE, TESTS);
    gym.must(&["build", &project, "--out", "build"]);
    gym.must(&["synth", "--images", "build/images.jsonl", "--candidates", "8", "--out", "synth"]);
    gym.must(&["validate", "--instances", "synth/candidates.jsonl", "--repeats", "1", "--out", "validate"]);
    let text = gym.read("validate/instances.jsonl");
    gym.write("instances.jsonl", &text);
    gym.write("one.jsonl", text.lines().next().unwrap());
    gym
});

/// With the instances, and the home that all tests of them work in.
pub fn gym() -> Gym {
    let gym = Gym::beside(&MADE);
    for file in ["instances.jsonl", "one.jsonl"] {
        gym.write(file, &MADE.read(file));
    }
    gym
}

/// The same with a home of its own.
pub fn gym_alone() -> Gym {
    Gym::new().like(&MADE)
}

pub fn call(tool: &str, arguments: &Value) -> Value {
    json!({"content": "I go on.", "calls": [{"name": tool, "arguments": arguments}]})
}

pub fn bash(command: &str) -> Value {
    call("execute_bash", &json!({"command": command}))
}

pub fn finish() -> Value {
    call("finish", &json!({}))
}

/// Writes a script, rolls it out on one instance, and gives the run's folder and result.
pub fn play(gym: &Gym, name: &str, replies: &[Value], flags: &[&str]) -> (String, Value) {
    let script = gym.write(&format!("{name}.script"), &format!("{}\n", json!({"replies": replies})));
    let (model, out) = (format!("scripted:{script}"), format!("run-{name}"));
    let mut arguments = vec!["rollout", "--instances", "one.jsonl", "--model", &model, "--out", &out];
    arguments.extend(flags);
    gym.must(&arguments);
    (out.clone(), result(gym, &out, 0))
}

pub fn id(gym: &Gym) -> String {
    rows(&gym.read("one.jsonl"))[0]["instance_id"].as_str().unwrap().to_owned()
}

pub fn result(gym: &Gym, run: &str, attempt: u32) -> Value {
    serde_json::from_str(&gym.read(&format!("{run}/results/{}.{attempt}.json", id(gym)))).unwrap()
}

pub fn shown(gym: &Gym, run: &str) -> Value {
    let record = format!("{run}/trajectories/{}/0.jsonl", id(gym));
    serde_json::from_str(&gym.must(&["show", "trajectory", &record, "--json"])).unwrap()
}

pub fn observations(shown: &Value) -> Vec<String> {
    let steps = shown["steps"].as_array().unwrap().iter();
    let actions = steps.flat_map(|s| s["actions"].as_array().unwrap().clone());
    actions.map(|a| a["observation"].as_str().unwrap().to_owned()).collect()
}

/// A script behind an address.
pub struct Endpoint {
    child: Child,
    pub address: String,
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn serve(gym: &Gym, flags: &[&str]) -> Endpoint {
    listen(gym, &[&["dev", "model"], flags].concat())
}

/// Starts a verb that serves, and waits for its address.
pub fn listen(gym: &Gym, words: &[&str]) -> Endpoint {
    let mut command = gym.command(&[words, &["--json"]].concat());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let head = lines.by_ref().map(Result::unwrap).take_while(|line| line != "}");
    let text = head.collect::<String>() + "}";
    let address = serde_json::from_str::<Value>(&text).unwrap()["endpoint"].as_str().unwrap().to_owned();
    Endpoint { child, address }
}
