//! Claims about self-improvement with the general scaffold: our recipe (capped, mixed
//! with the teacher's successes, from the base policy every time), and the one that
//! failed in the paper (no cap, continued from the last policy).

use clap::Parser as _;
use swegym_grade::metrics::measure;

use super::{Found, Study, difference, resolved};
use crate::args::{Args, ImproveArgs, Verb};
use crate::commands::base::{AGENT, FAMILIES};
use crate::commands::improve::{self, Round};
use crate::error::CommandError;
use crate::sheet::{Line, Part};

/// Both recipes, from the same policy: tuned on a tenth of the teacher's data.
pub(super) async fn study(study: &mut Study<'_>) -> Result<(), CommandError> {
    let scale = study.scale;
    let base = study.base();
    let (train, test) = (study.train.clone(), study.test.clone());
    let tasks = study.gym.tasks("tasks-rounds", "train", FAMILIES, scale.improved).await?;
    let some = study.gym.teach("teacher-few", &train, 1, 0.9).await?;
    let data = study.gym.data("data-few", &[&some], &base, "--cap 1").await?.join("train.parquet");
    let first = study.gym.tune("tuned-few", &base, &data, 1, scale.tuning).await?;
    let words = |from: &str, cap: &str, mix: bool, seed: u64| {
        let mut words = ["swegym", "improve", "--from", from, "--cap", cap].map(str::to_owned).to_vec();
        words.extend(["--measure-attempts".to_owned(), scale.measured.to_string()]);
        words.extend(["--seed".to_owned(), seed.to_string()]);
        words.extend(["--model".to_owned(), first.display().to_string()]);
        words.extend(["--rounds".to_owned(), scale.rounds.to_string()]);
        for (flag, tasks) in [("--instances", &tasks), ("--measure", &test)] {
            words.extend([flag.to_owned(), tasks.join("candidates.jsonl").display().to_string()]);
        }
        if mix {
            words.extend(["--mix".to_owned(), some.display().to_string()]);
        }
        words.extend(["--rollout".to_owned(), AGENT.to_owned()]);
        words.extend(["--curate".to_owned(), "--calls text --prompts terse".to_owned()]);
        words
            .extend(["--train".to_owned(), format!("--context 1024 --batch 4 --rate 1e-3 {}", scale.tuning)]);
        words
    };
    let mut ours = take(study, "ours-1-", &words("base", "2", true, 1)).await?;
    for seed in 2..=scale.seeds {
        let again = take(study, &format!("ours-{seed}-"), &words("base", "2", true, seed)).await?;
        // Means over seeds: every round has the attempts of all.
        ours.iter_mut().zip(again).for_each(|(round, again)| round.attempts.extend(again.attempts));
    }
    let theirs = take(study, "paper-1-", &words("last", "0", false, 1)).await?;
    let gain = difference(&resolved, &ours[ours.len() - 1].attempts, &ours[0].attempts);
    study.claim(
        "Table 5: the last round above the first policy, points",
        gain,
        "general scaffold: 15.3 to 8.7 % (worse)",
        |f| f.clears(0.0),
    );
    let falls = ours
        .windows(2)
        .map(|pair| difference(&resolved, &pair[1].attempts, &pair[0].attempts))
        .min_by(|a, b| a.value.total_cmp(&b.value))
        .unwrap_or(Found::plain(f64::NAN));
    study.claim("Table 5: the worst single round, points", falls, "Moatless 32B: 19.7 to 19.7 %", |f| {
        f.interval.is_some_and(|(_, high)| high >= 0.0)
    });
    let more = difference(&resolved, &ours[ours.len() - 1].attempts, &theirs[theirs.len() - 1].attempts);
    study.claim("Our recipe above the paper's after the last round, points", more, "not measured", |f| {
        f.value > 0.0
    });
    let mut table = improve::table(&ours);
    table.extend(improve::table(&theirs).into_iter().skip(1).map(|mut row| {
        row[0] = format!("{}, the paper's recipe", row[0]);
        row
    }));
    let line = |name: &str, rounds: &[Round]| {
        let point = |(index, round): (usize, &Round)| {
            let found = Found::percent(measure(&round.attempts).resolve_rate);
            (index as f64, found.value, found.interval)
        };
        Line { name: name.to_owned(), points: rounds.iter().enumerate().map(point).collect() }
    };
    study.sheet.push(Part {
        title: "Table 5: rounds of self-improvement".to_owned(),
        words: "Ours: at most two successes of an instance, the teacher's mixed in, from the first policy every time; \
                means over training seeds. The paper's recipe has one seed. \
                The paper's general scaffold fell from 15.3 to 8.7 %; its workflow went 7.0, 9.0, 10.0 %."
            .to_owned(),
        table,
        lines: vec![line("ours", &ours), line("the paper's", &theirs)],
        across: "round".to_owned(),
    });
    Ok(())
}

async fn take(study: &mut Study<'_>, prefix: &str, words: &[String]) -> Result<Vec<Round>, CommandError> {
    let args: Box<ImproveArgs> = match Args::parse_from(words).verb {
        Verb::Improve(args) => args,
        _ => unreachable!("that is the verb that was typed"),
    };
    let say = study.say;
    improve::rounds(&mut study.gym.workshop, &args, prefix, |text| say(&format!("  {prefix}{text}"))).await
}
