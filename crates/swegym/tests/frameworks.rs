//! What we write for other trainers trains there, and comes back. Gigabytes of
//! PyTorch are installed for it, so it is a command of its own, outside CI:
//! `cargo test -p swegym --features frameworks --test frameworks`
//! (`SWEGYM_TEST_PYTHON` names a Python that has the packages already).

#![expect(clippy::disallowed_methods, reason = "a test starts its peers")]

#[path = "it/common/mod.rs"]
mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::Gym;
use serde_json::{Value, json};

/// A small model, and rows for it.
fn model() -> Gym {
    let gym = Gym::new();
    let counted = |i: usize| (1..=i).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
    let row = |i: usize| {
        let ask = json!({"role": "user", "content": format!("count to {i}")});
        let say = json!({"role": "assistant", "content": counted(i)});
        json!({"instance_id": format!("count-{i}"), "messages": [ask, say]}).to_string() + "\n"
    };
    gym.write("rows.jsonl", &(1..9).map(row).collect::<String>());
    let text = |i: usize| json!({"text": format!("count to {i}: {}", counted(i))}).to_string() + "\n";
    gym.write("text.jsonl", &(1..40).map(text).collect::<String>());
    gym.must(&["train", "tokenizer", "--text", "text.jsonl", "--vocabulary", "300", "--out", "tokenizer"]);
    let flags = ["--width", "64", "--layers", "2", "--context", "64", "--steps", "20", "--out", "base"];
    let source = ["train", "pretrain", "--text", "text.jsonl", "--tokenizer", "tokenizer"];
    gym.must(&[&source[..], &flags].concat());
    gym
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let told =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {told}");
    told
}

/// The folder of programs of an environment with these packages.
fn environment(gym: &Gym, name: &str, requirements: &Path) -> PathBuf {
    if let Some(python) = std::env::var_os("SWEGYM_TEST_PYTHON") {
        return PathBuf::from(python).parent().unwrap().to_owned();
    }
    let place = gym.path(name);
    run(Command::new("python3").args(["-m", "venv"]).arg(&place));
    let pip = [
        "-m",
        "pip",
        "install",
        "-q",
        "--extra-index-url",
        "https://download.pytorch.org/whl/cpu",
        "torch",
        "-r",
    ];
    run(Command::new(place.join("bin/python")).args(pip).arg(requirements));
    place.join("bin")
}

/// Losses in what a trainer prints.
fn losses(told: &str, before: &str) -> Vec<f64> {
    let number = |rest: &str| {
        let digits = rest.trim_start_matches(['\'', ' ']);
        digits[..digits.find(|c: char| c != '.' && !c.is_ascii_digit())?].parse().ok()
    };
    told.split(before).skip(1).filter_map(number).collect()
}

/// The loss of the first step, where nothing is learnt yet, is the same
/// everywhere; and what comes back is read and serves.
fn trains(framework: &str, more: &[&str], told_before: &str, made: &str) {
    let gym = model();
    let recipe = ["--gpus", "0", "--epochs", "2", "--batch", "8", "--context", "256", "--rate", "1e-3"];
    let tokens = ["train", "sft", "--model", "base", "--data", "rows.jsonl", "--no-packing", "--out", "own"];
    gym.must(
        &[&tokens[..], &["--context", "256", "--batch", "8", "--epochs", "1", "--precision", "float32"]]
            .concat(),
    );
    let first: Value = serde_json::from_str(gym.read("own/metrics.jsonl").lines().next().unwrap()).unwrap();
    gym.must(&["export", "rows.jsonl", "--to", "tokens", "--model", "base", "--out", "rows.parquet"]);
    let export = ["export", "rows.parquet", "--to", framework, "--model", "base", "--out", "there"];
    gym.must(&[&export[..], &recipe, more].concat());
    let programs = environment(&gym, "environment", &gym.path("there/requirements.txt"));
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut launch = Command::new("bash");
    launch.arg(gym.path("there/launch.sh")).env("PATH", path).env("HF_HUB_OFFLINE", "1");
    let losses = losses(&run(&mut launch), told_before);
    let own = first["loss"].as_f64().unwrap();
    assert!((losses[0] / own - 1.0).abs() < 2e-3, "{losses:?} there, {own} here");
    let place = gym.path(made);
    let back = ["export", "--import", place.to_str().unwrap(), "--model", "base", "--out", "back"];
    gym.must(&back);
    assert!(gym.path("back/tokenizer.json").is_file());
}

#[test]
fn trl_trains_on_our_rows() {
    trains("trl", &[], "'loss': ", "there/model");
}

#[test]
fn trl_trains_an_adapter_on_our_rows() {
    trains("trl", &["--lora", "4"], "'loss': ", "there/model");
}

/// Conversations as they are, with the loss on what the assistant says: the model's own
/// template says where that is.
#[test]
fn trl_learns_the_assistants_words_by_our_template() {
    let gym = model();
    gym.must(&["export", "rows.jsonl", "--to", "tokens", "--model", "base", "--out", "rows.parquet"]);
    gym.must(&["export", "rows.parquet", "--to", "trl", "--model", "base", "--out", "there"]);
    let programs = environment(&gym, "environment", &gym.path("there/requirements.txt"));
    gym.write("learn.py", LEARN);
    let mut python = Command::new(programs.join("python"));
    let told = run(python.arg("learn.py").current_dir(gym.folder.path()).env("HF_HUB_OFFLINE", "1"));
    let learnt =
        told.lines().find_map(|line| line.strip_prefix("learnt: ")).unwrap_or_else(|| panic!("{told}"));
    assert_eq!(learnt, "1 2 3 4 5 6 7 8<|im_end|>", "{told}");
    assert!(!losses(&told, "'train_loss': ").is_empty(), "{told}");
}

/// TRL's trainer on our rows, and what of the last of them it learns.
const LEARN: &str = "
import datasets
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
from trl import SFTConfig, SFTTrainer

tokenizer = PreTrainedTokenizerFast.from_pretrained('base/model')
rows = datasets.load_dataset('json', data_files='rows.jsonl', split='train').select_columns(['messages'])
config = SFTConfig('out', assistant_only_loss=True, max_steps=2, use_cpu=True, bf16=False, report_to='none',
                   gradient_checkpointing=False, save_strategy='no')
model = AutoModelForCausalLM.from_pretrained('base/model')
trainer = SFTTrainer(model=model, args=config, train_dataset=rows, processing_class=tokenizer)
batch = trainer.data_collator([trainer.train_dataset[7]])
print('learnt:', tokenizer.decode([i for i in batch['labels'][0].tolist() if i != -100]))
print(trainer.train().metrics)
";

#[test]
fn torchtune_trains_on_our_rows() {
    trains("torchtune", &[], "Loss: ", "there/model/epoch_1");
}
