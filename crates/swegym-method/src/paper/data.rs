//! Claims about data: how successes are spread over instances (Figure 3), and how much
//! more data helps (Figures 7 and 8), at equal optimiser steps.

use std::collections::BTreeMap;

use swegym_console::error::CommandError;
use swegym_console::sheet::{Line, Part};
use swegym_data::metrics;
use swegym_grade::metrics::{Attempt, measure};
use swegym_grade::selection::log_fit;
use swegym_train::curation::Ladder;

use super::{Found, Study, head};
use crate::gym::{Length, curated};
use crate::improve;

/// Shares of the data.
const SHARES: [f64; 3] = [0.25, 0.5, 1.0];

/// Instances by how many of their attempts the teacher resolved.
pub(super) fn distribution(study: &mut Study<'_>) -> Result<(), CommandError> {
    let (attempts, _) = metrics::load(&study.taught, None)?;
    let mut per_instance: BTreeMap<&str, usize> = BTreeMap::new();
    let mut per_family: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for attempt in &attempts {
        let yes = usize::from(attempt.resolved == Some(true));
        *per_instance.entry(&attempt.instance_id).or_default() += yes;
        let family = per_family.entry(&attempt.repo).or_default();
        *family = (family.0 + yes, family.1 + 1);
    }
    let most = per_instance.values().copied().max().unwrap_or(0);
    let count = |n: usize| per_instance.values().filter(|&&found| found == n).count() as f64;
    let mut table = vec![head(&["family", "attempts", "resolved"])];
    table.extend(
        per_family
            .iter()
            .map(|(name, (yes, all))| vec![(*name).to_owned(), all.to_string(), yes.to_string()]),
    );
    let solved = 100.0 * (1.0 - count(0) / per_instance.len().max(1) as f64);
    study.claim(
        "Figure 3: instances with any success, percent",
        Found::plain(solved),
        "294 of 2,438 (12 %) with any, 491 successes",
        |f| f.value > 0.0 && f.value < 100.0,
    );
    study.sheet.push(Part {
        title: "Figure 3: how the teacher's successes are spread".to_owned(),
        words: "Instances by the number of their attempts that resolve them.".to_owned(),
        table,
        lines: vec![Line {
            name: "instances".to_owned(),
            points: (0..=most).map(|n| (n as f64, count(n), None)).collect(),
        }],
        across: "successes of an instance".to_owned(),
    });
    Ok(())
}

/// A quarter, half and all of the data, chosen in three ways.
pub(super) async fn scaling(study: &mut Study<'_>) -> Result<(), CommandError> {
    let scale = study.scale;
    let (test, taught, base) = (study.test.clone(), study.taught.clone(), study.base());
    let length = Length::Steps(scale.steps);
    let mut lines = Vec::new();
    let mut table = vec![head(&["chosen", "share", "trajectories", "resolved % (95 %)"])];
    let arms = [
        ("random", None, Ladder::Random),
        ("distinct", Some(1), Ladder::Random),
        ("repo", Some(1), Ladder::Repo),
    ];
    for (by, cap, ladder_by) in &arms[..if scale.every { 3 } else { 1 }] {
        let mut settings = curated(vec![taught.clone()], &base);
        settings.rules.per_instance = *cap;
        (settings.ladder, settings.ladder_by) = (SHARES[..2].to_vec(), *ladder_by);
        let data = study.gym.data(&format!("ladder-{by}"), settings).await?;
        let all = improve::learnt(&data)?;
        let mut points = Vec::new();
        for share in SHARES {
            let name = if share < 1.0 { format!("train-{:.0}", share * 100.0) } else { "train".to_owned() };
            let file = data.join(format!("{name}.parquet"));
            let mut attempts: Vec<Attempt> = Vec::new();
            for seed in 1..=scale.seeds {
                let step = format!("scale-{by}-{share}-{seed}");
                let model = study.gym.tune(&step, &base, &file, seed, length).await?;
                attempts
                    .extend(study.gym.measure(&format!("{step}-test"), &model, &test, scale.measured).await?);
            }
            let found = Found::percent(measure(&attempts).resolve_rate);
            let trajectories = share * all as f64;
            table.push(vec![(*by).to_owned(), share.to_string(), format!("{trajectories:.0}"), found.tell()]);
            points.push((trajectories, found.value, found.interval));
        }
        let fit = log_fit(&points.iter().map(|p| (p.0, p.1)).collect::<Vec<_>>());
        if let (Some(fit), "random") = (fit, *by) {
            study.claim(
                "Figure 7: points for each doubling of the data, at equal steps",
                Found::plain(fit.slope * std::f64::consts::LN_2),
                "7.04 ln 2 = 4.9",
                |f| f.value > 0.0,
            );
            study.claim("Figure 7: R² of the log-linear fit", Found::plain(fit.r_squared), "0.984", |f| {
                f.value >= 0.9
            });
        }
        lines.push(Line { name: (*by).to_owned(), points });
    }
    study.sheet.push(Part {
        title: "Figures 7 and 8: more data at equal optimiser steps".to_owned(),
        words: format!(
            "Every arm takes {} optimiser steps. `random` is a share of all successes, `distinct` of one success an \
             instance, `repo` takes whole families. The paper (32B): 10.8, 16.8, 20.6; 10.8, 14.2, 18.8; 13.4, 15.6, 18.8 %.",
            scale.steps
        ),
        table,
        lines,
        across: "trajectories".to_owned(),
    });
    Ok(())
}
