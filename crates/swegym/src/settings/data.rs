//! What verbs on data are told, from their flags.

use swegym_console::error::CommandError;
use swegym_data::dataset::convert::ConvertSettings;
use swegym_data::export::settings::{ExportSettings, Recipe};
use swegym_data::grade::GradeSettings;
use swegym_data::metrics::MetricsSettings;
use swegym_data::rows::HeldOut;
use swegym_data::select::settings::{ScoreSettings, SelectSettings};
use swegym_data::show::ShowSettings;
use swegym_method::real::{GymSettings, RecipeSettings};
use swegym_method::settings::Environment;
use swegym_mine::{ApiSettings, MineSettings};

use super::rollout;
use crate::args::{
    ConvertArgs, ExportArgs, GradeArgs, GymArgs, HeldOutArgs, MetricsArgs, MineArgs, RecipeArgs, RemakeArgs,
    ScoreArgs, SelectArgs, ShowTrajectoryArgs,
};

impl From<HeldOutArgs> for HeldOut {
    fn from(args: HeldOutArgs) -> Self {
        let HeldOutArgs { held_out, split_by } = args;
        Self { share: held_out, by: split_by }
    }
}

impl From<MineArgs> for MineSettings {
    fn from(args: MineArgs) -> Self {
        let MineArgs { repositories, api, api_url, issues, out: _, branch, split, statement, against } = args;
        // In the order in which `gh` looks at them.
        let token = ["GH_TOKEN", "GITHUB_TOKEN"].into_iter().find_map(Environment::variable);
        let api = ApiSettings { repositories: api, url: Some(api_url), token };
        Self { repositories, branch, split, statements: statement, against, api, saved: issues }
    }
}

/// Questions for recipes at once.
const RECIPE_QUESTIONS: usize = 8;

impl TryFrom<GymArgs> for GymSettings {
    type Error = CommandError;

    fn try_from(args: GymArgs) -> Result<Self, CommandError> {
        let GymArgs {
            raw,
            repository,
            sample,
            seed,
            repeats,
            bounds,
            all_tests,
            recipes,
            recipe_model,
            place,
            install: _,
            run: _,
        } = args;
        let ask = |name| rollout::named(name, |name| rollout::usual_endpoint(place, name, RECIPE_QUESTIONS));
        let recipe_model = recipe_model.map(ask).transpose()?;
        let repositories = repository;
        Ok(Self {
            raw,
            repositories,
            sample,
            seed,
            repeats,
            bounds: bounds.into(),
            recipes,
            runs_all: all_tests,
            recipe_model,
        })
    }
}

impl From<RemakeArgs> for RecipeSettings {
    fn from(args: RemakeArgs) -> Self {
        let RemakeArgs { gym, repository, install: _, run: _ } = args;
        Self { gym, repositories: repository }
    }
}

impl From<ScoreArgs> for ScoreSettings {
    fn from(args: ScoreArgs) -> Self {
        let ScoreArgs { runs, verifier, out: _ } = args;
        Self { runs, verifier }
    }
}

impl From<SelectArgs> for SelectSettings {
    fn from(args: SelectArgs) -> Self {
        let SelectArgs {
            run,
            scores,
            apart,
            evaluation,
            k,
            tests,
            gate,
            calibrate,
            calibrate_scores,
            by,
            out: _,
        } = args;
        let calibrate = calibrate.map(|run| (run, calibrate_scores));
        Self { run, scores, apart, evaluation, k, tests, gate, calibrate, by }
    }
}

impl From<ExportArgs> for ExportSettings {
    fn from(args: ExportArgs) -> Self {
        let ExportArgs {
            run,
            out,
            to,
            import,
            calls,
            prompts,
            evaluation,
            resolved,
            masked,
            skip_turns,
            last_turn_only,
            model,
            recipe,
        } = args;
        let RecipeArgs { base, gpus, context, epochs, rate, batch, lora } = recipe;
        let recipe = Recipe { base, gpus, context, epochs, rate, batch, lora };
        Self {
            run,
            out,
            to,
            import,
            calls,
            prompts,
            evaluation,
            resolved,
            masked,
            skip_turns,
            last_turn_only,
            model,
            recipe,
        }
    }
}

impl From<GradeArgs> for GradeSettings {
    fn from(args: GradeArgs) -> Self {
        let GradeArgs { instances, logs, run, out, report, semantics, explain } = args;
        Self { instances, logs, run, out, report, semantics, explain }
    }
}

impl From<MetricsArgs> for MetricsSettings {
    fn from(args: MetricsArgs) -> Self {
        let MetricsArgs { run, evaluation, against, against_evaluation } = args;
        Self { run, evaluation, against, against_evaluation }
    }
}

impl From<ShowTrajectoryArgs> for ShowSettings {
    fn from(args: ShowTrajectoryArgs) -> Self {
        let ShowTrajectoryArgs { record, step, full, page } = args;
        Self { record, step, full, page }
    }
}

impl From<ConvertArgs> for ConvertSettings {
    fn from(args: ConvertArgs) -> Self {
        let ConvertArgs { dataset, out, to, file, split, name } = args;
        Self { dataset, out, to, file, split, name }
    }
}
