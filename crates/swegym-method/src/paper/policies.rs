//! Claims about fine-tuned policies: three sizes against the untrained ones (Table 3),
//! and how many attempts per instance to train on (Table 4).

use std::path::PathBuf;

use swegym_console::error::CommandError;
use swegym_console::sheet::{Line, Part};
use swegym_data::metrics::{CELLS, cells};
use swegym_grade::metrics::{Attempt, measure};

use super::{Found, Study, difference, head, resolved, row};
use crate::base::Size;

/// The paper's figures of Table 3, by size.
fn paper(size: Size) -> &'static str {
    match size {
        Size::Small => "7B, Verified: 1.8 to 10.6 %",
        Size::Medium => "14B, Verified: 4.0 to 16.4 %",
        Size::Large => "32B, Verified: 7.0 to 20.6 %",
    }
}

/// Zero-shot and fine-tuned at every size; gives the largest tuned policy of
/// the first seed.
pub(super) async fn sizes(study: &mut Study<'_>) -> Result<PathBuf, CommandError> {
    let scale = study.scale;
    let (test, held_out, taught, train) =
        (study.test.clone(), study.held_out.clone(), study.taught.clone(), study.base());
    let data = study.gym.capped("data", &[&taught], &train, Some(2)).await?.join("train.parquet");
    let mut table = vec![["policy"].into_iter().chain(CELLS).map(str::to_owned).collect::<Vec<_>>()];
    let (mut bars, mut last) = ([Vec::new(), Vec::new()], None);
    for (index, (size, base)) in study.bases.clone().into_iter().enumerate() {
        let name = size.name();
        let zero = study.gym.measure(&format!("zero-{name}"), &base, &test, scale.measured).await?;
        let (mut tuned, mut away) = (Vec::new(), Vec::new());
        let mut first = None;
        for seed in 1..=scale.seeds {
            let step = format!("tuned-{name}-{seed}");
            let model = study.gym.tune(&step, &base, &data, seed, scale.tuning).await?;
            tuned.extend(study.gym.measure(&format!("{step}-test"), &model, &test, scale.measured).await?);
            if size == Size::Large {
                let step = format!("{step}-held-out");
                away.extend(study.gym.measure(&step, &model, &held_out, scale.measured).await?);
            }
            first.get_or_insert(model);
        }
        table.push(row(&format!("{name}, zero-shot"), &zero));
        table.push(row(&format!("{name}, fine-tuned"), &tuned));
        for (bar, attempts) in bars.iter_mut().zip([&zero, &tuned]) {
            let found = Found::percent(measure(attempts).resolve_rate);
            bar.push((index as f64, found.value, found.interval));
        }
        let gain = difference(&resolved, &tuned, &zero);
        study.claim(format!("Table 3: {name}, points gained by fine-tuning"), gain, paper(size), |f| {
            f.clears(0.0)
        });
        if size == Size::Large {
            headline(study, &zero, &tuned, &base, &away, &mut table).await?;
        }
        last = first;
    }
    let [zero, tuned] = bars;
    study.sheet.push(Part {
        title: "Table 3: zero-shot and fine-tuned at three sizes".to_owned(),
        words: "Sizes: 64 columns and 2 layers, 96 and 3, 128 and 4. The paper (Verified): 7B 1.8 to 10.6, \
                14B 4.0 to 16.4, 32B 7.0 to 20.6 %."
            .to_owned(),
        table,
        lines: vec![
            Line { name: "zero-shot".to_owned(), points: zero },
            Line { name: "fine-tuned".to_owned(), points: tuned },
        ],
        across: "size".to_owned(),
    });
    last.ok_or_else(|| CommandError::nothing("no policy was tuned", "give at least one of --seeds"))
}

/// What the largest policy must reach, held-out families included.
async fn headline(
    study: &mut Study<'_>,
    zero: &[Attempt],
    tuned: &[Attempt],
    base: &std::path::Path,
    away: &[Attempt],
    table: &mut Vec<Vec<String>>,
) -> Result<(), CommandError> {
    let held_out = study.held_out.clone();
    let zero_away = study.gym.measure("zero-held-out", base, &held_out, study.scale.measured).await?;
    table.push(row("large, zero-shot, families held out", &zero_away));
    table.push(row("large, fine-tuned, families held out", away));
    let rate = |attempts: &[Attempt]| Found::percent(measure(attempts).resolve_rate).value;
    study.claim(
        "Zero-shot resolve rate in percent, 1 to 8",
        Found::percent(measure(zero).resolve_rate),
        "7.0 % (32B, Verified)",
        |f| (1.0..=8.0).contains(&f.value),
    );
    let times = Found::plain(rate(tuned) / rate(zero).max(1e-9));
    study.claim("Fine-tuned, times zero-shot", times, "2.9 times (32B)", |f| f.value >= 3.0);
    let gain = difference(&resolved, tuned, zero);
    study.claim("Fine-tuned, points above zero-shot", gain, "13.6 points (32B)", |f| f.value >= 20.0);
    let gain = difference(&resolved, away, &zero_away);
    study.claim("The same on families held out", gain, "not measured", |f| f.value >= 15.0);
    let loops = difference(&|a| Some(a.stuck_in_loop), tuned, zero);
    study.claim("Loop rate falls, points", loops, "29.4 to 23.8 % (32B, Verified)", |f| f.value < 0.0);
    let empty = difference(&|a| Some(a.empty_patch), tuned, zero);
    study.claim("Empty-patch rate falls, points", empty, "27.0 to 18.1 % (32B, Lite)", |f| f.value < 0.0);
    Ok(())
}

/// One, two, three or all of an instance's successes.
pub(super) async fn caps(study: &mut Study<'_>) -> Result<(), CommandError> {
    let scale = study.scale;
    let (test, taught, base) = (study.test.clone(), study.taught.clone(), study.base());
    let mut table =
        vec![head(&["cap", "trajectories"]).into_iter().chain(CELLS.map(str::to_owned)).collect::<Vec<_>>()];
    let mut arms: Vec<Vec<Attempt>> = Vec::new();
    let caps: &[Option<usize>] =
        if scale.every { &[Some(1), Some(2), None, Some(3)] } else { &[Some(1), Some(2), None] };
    for &most in caps {
        let cap = most.map_or("none".to_owned(), |most| most.to_string());
        let data = study.gym.capped(&format!("data-cap-{cap}"), &[&taught], &base, most).await?;
        let file = data.join("train.parquet");
        let mut attempts = Vec::new();
        for seed in 1..=scale.seeds {
            let step = format!("cap-{cap}-{seed}");
            let model = study.gym.tune(&step, &base, &file, seed, scale.tuning).await?;
            attempts.extend(study.gym.measure(&format!("{step}-test"), &model, &test, scale.measured).await?);
        }
        let learnt = crate::improve::learnt(&data)?.to_string();
        table.push([cap, learnt].into_iter().chain(cells(&attempts)).collect());
        arms.push(attempts);
    }
    let gain = difference(&resolved, &arms[1], &arms[0]);
    study.claim("Table 4: cap 2 against cap 1, points", gain, "9.7 against 9.0 %", |f| f.value >= 0.0);
    let gain = difference(&resolved, &arms[1], &arms[2]);
    study.claim("Table 4: cap 2 against no cap, points", gain, "9.7 against 9.3 %", |f| f.value >= 0.0);
    study.sheet.push(Part {
        title: "Table 4: attempts of an instance that are learnt".to_owned(),
        words: "The paper (7B, Moatless, Lite): zero-shot 7.0, cap 1 9.0, cap 2 9.7, cap 3 7.7, none 9.3 %."
            .to_owned(),
        table,
        ..Part::default()
    });
    Ok(())
}
