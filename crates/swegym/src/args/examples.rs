//! One example for each verb, shown at the end of its help.

use clap::{Command, CommandFactory as _};

use super::Args;

/// Verb and example. Each must be a command that can be typed; a test parses them all.
const EXAMPLES: &[(&str, &str)] = &[
    ("swegym", "swegym quickstart --out runs/first"),
    ("swegym quickstart", "swegym quickstart humanize==4.9.0 --out runs/first"),
    ("swegym mine", "swegym mine ./mirrors/dvc.git --api iterative/dvc --out raw"),
    ("swegym gym", "swegym gym raw/instances.jsonl --sample 200 --out gym"),
    ("swegym recipe", "swegym recipe gym/ --out runs/recipe"),
    ("swegym build", "swegym build humanize==4.9.0 ./my-checkout --out runs/build"),
    ("swegym synth", "swegym synth --images runs/build/images.jsonl --candidates 30 --out runs/synth"),
    ("swegym micro", "swegym micro --count 200 --seed 1 --out gym"),
    ("swegym validate", "swegym validate --instances runs/synth/candidates.jsonl --out runs/validate"),
    (
        "swegym rollout",
        "swegym rollout --instances runs/validate/instances.jsonl --attempts 4 --evaluate \\
        --model Qwen/Qwen2.5-Coder-32B-Instruct --endpoint http://localhost:8000/v1 \\
        --out runs/qwen",
    ),
    (
        "swegym evaluate",
        "swegym evaluate --instances runs/validate/instances.jsonl --predictions answers.jsonl \\
        --out runs/eval",
    ),
    ("swegym grade", "swegym grade --instances SWE-bench_Verified/ --logs logs.jsonl --out reports.jsonl"),
    ("swegym dataset", "swegym dataset stats SWE-Gym/"),
    ("swegym dataset convert", "swegym dataset convert instances.jsonl tasks/ --to harbor"),
    ("swegym dataset check", "swegym dataset check instances.jsonl --logs gold.jsonl"),
    ("swegym dataset stats", "swegym dataset stats SWE-Gym/ --chart stats.svg"),
    ("swegym dataset lite", "swegym dataset lite SWE-Gym/ --out lite.parquet"),
    ("swegym dataset diff", "swegym dataset diff old.parquet new.parquet"),
    ("swegym report", "swegym report runs/eval"),
    ("swegym show", "swegym show trajectory runs/qwen/trajectories/pypi__humanize-0a1b2c/0.jsonl"),
    (
        "swegym show trajectory",
        "swegym show trajectory runs/qwen/trajectories/pypi__humanize-0a1b2c/0.jsonl --step 3",
    ),
    ("swegym metrics", "swegym metrics runs/qwen --against runs/other"),
    ("swegym paper", "swegym paper --fast --out paper"),
    (
        "swegym improve",
        "swegym improve --model base --instances tasks/candidates.jsonl \\
        --measure test/candidates.jsonl --rounds 3 --out rounds",
    ),
    ("swegym export", "swegym export runs/qwen --resolved --out train.jsonl"),
    ("swegym curate", "swegym curate runs/qwen --model base --cap 2 --held-out 0.1 --out data"),
    ("swegym score", "swegym score runs/qwen --verifier verifier --out scores.jsonl"),
    ("swegym select", "swegym select runs/qwen --scores scores.jsonl --out chosen"),
    ("swegym train", "swegym train sft --model base --data train.jsonl --out policy"),
    (
        "swegym train tokenizer",
        "swegym train tokenizer --text corpus.jsonl --vocabulary 4096 --out tokenizer",
    ),
    (
        "swegym train pretrain",
        "swegym train pretrain --text corpus.jsonl --tokenizer tokenizer --layers 6 --out base",
    ),
    ("swegym train base", "swegym train base --size small --out base"),
    ("swegym train sft", "swegym train sft --model base --data train.jsonl --held-out 0.1 --out policy"),
    ("swegym train verifier", "swegym train verifier --model base --data attempts.jsonl --out verifier"),
    ("swegym serve", "swegym serve --model policy --listen 127.0.0.1:8000"),
    (
        "swegym replay",
        "swegym replay runs/qwen/trajectories/pypi__humanize-0a1b2c/0.jsonl \\
        --instances runs/validate/instances.jsonl",
    ),
    ("swegym dev", "swegym dev model --script replies.jsonl"),
    ("swegym dev model", "swegym dev model --script replies.jsonl --listen 127.0.0.1:8080 --fault 429=0.1"),
    ("swegym doctor", "swegym doctor"),
    ("swegym store", "swegym store list"),
    ("swegym store list", "swegym store list"),
    ("swegym store gc", "swegym store gc --dry-run"),
    ("swegym completions", "swegym completions bash > ~/.local/share/bash-completion/completions/swegym"),
];

/// All verbs and flags, with their examples.
pub(crate) fn command() -> Command {
    with_example(Args::command(), "swegym")
}

fn with_example(command: Command, path: &str) -> Command {
    let command = command.mut_subcommands(|verb| {
        let path = format!("{path} {}", verb.get_name());
        with_example(verb, &path)
    });
    match EXAMPLES.iter().find(|(verb, _)| *verb == path) {
        Some((_, example)) => command.after_help(format!("Example:\n\n    {example}")),
        None => command,
    }
}
