//! Claims about self-improvement with the general scaffold: our recipe (capped, mixed
//! with the teacher's successes, from the base policy every time), and the one that
//! failed in the paper (no cap, continued from the last policy).

use std::path::PathBuf;

use swegym_console::error::CommandError;
use swegym_console::sheet::{Line, Part};
use swegym_grade::metrics::measure;
use swegym_tasks::micro::Split;

use super::{Found, Study, difference, resolved};
use crate::gym::{FAMILIES, agent, curated, instances, tuning};
use crate::improve::{self, Round};
use crate::settings::{ImproveSettings, Memory, ModelChoice, SftSettings, Start};

/// Both recipes, from the same policy: tuned on a tenth of the teacher's data.
pub(super) async fn study(study: &mut Study<'_>) -> Result<(), CommandError> {
    let scale = study.scale;
    let base = study.base();
    let (train, test) = (study.train.clone(), study.test.clone());
    let tasks = study.gym.tasks("tasks-rounds", Split::Train, &FAMILIES, scale.improved).await?;
    let some = study.gym.teach("teacher-few", &train, 1, 0.9).await?;
    let data = study.gym.capped("data-few", &[&some], &base, Some(1)).await?.join("train.parquet");
    let first = study.gym.tune("tuned-few", &base, &data, 1, scale.tuning).await?;
    let recipe = |from: Start, cap: Option<usize>, mix: Vec<PathBuf>, seed: u64| {
        let mut curate = curated(Vec::new(), &first);
        curate.rules.per_instance = cap;
        let course = tuning(scale.tuning, 0);
        ImproveSettings {
            model: first.clone(),
            instances: instances(&tasks),
            measure: instances(&test),
            endpoint: None,
            rounds: scale.rounds,
            from,
            learn: Memory::All,
            mix,
            attempts: 4,
            measure_attempts: scale.measured,
            seed,
            rollout: agent(instances(&tasks), ModelChoice::here(first.clone())),
            curate,
            sft: SftSettings { course, ..SftSettings::new(first.clone(), Vec::new()) },
        }
    };
    let own = |seed| recipe(Start::Base, Some(2), vec![some.clone()], seed);
    let mut ours = take(study, "ours-1-", &own(1)).await?;
    for seed in 2..=scale.seeds {
        let again = take(study, &format!("ours-{seed}-"), &own(seed)).await?;
        // Means over seeds: every round has the attempts of all.
        ours.iter_mut().zip(again).for_each(|(round, again)| round.attempts.extend(again.attempts));
    }
    let theirs = take(study, "paper-1-", &recipe(Start::Last, None, Vec::new(), 1)).await?;
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

async fn take(
    study: &mut Study<'_>,
    prefix: &str,
    settings: &ImproveSettings,
) -> Result<Vec<Round>, CommandError> {
    let say = study.say;
    let say = |text: &str| say(&format!("  {prefix}{text}"));
    improve::rounds(&mut study.gym.workshop, settings, prefix, say).await
}
