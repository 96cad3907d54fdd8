//! What an answer does to the tests, with the repository beside it.

use std::collections::BTreeSet;

use swegym_core::conduct::patch::{self, Mark};
use swegym_core::{Instance, Prediction};
use swegym_sandbox::Image;

use crate::context::Context;
use crate::plan::WORKDIR;

/// The marks of an answer. What the gold patch does, or the repository did in the
/// same file before, is none.
#[must_use]
pub fn marks(context: &Context, instance: &Instance, image: &Image, prediction: &Prediction) -> Vec<Mark> {
    let answer = prediction.model_patch.as_deref().unwrap_or_default();
    let base = |path: &str| repository_file(context, image, path);
    let mut marks = patch::marks(answer, &instance.gold_patch, &base);
    let tests = instance.fail_to_pass.iter().chain(instance.pass_to_pass.iter());
    let modules: BTreeSet<&str> = tests.filter_map(patch::module_of_examples).collect();
    if !modules.is_empty() {
        marks.extend(patch::examples_marks(answer, &instance.gold_patch, &modules, &base));
    }
    marks
}

/// A text file of an image's repository, from the store; nothing where it is not
/// there, is no text, or is reached through a link, which may lead anywhere.
#[must_use]
pub fn repository_file(context: &Context, image: &Image, path: &str) -> Option<String> {
    let store = context.host.store();
    image.layers.iter().rev().find_map(|layer| {
        let mut place = store.home().join(store.layer_folder(*layer).ok()?);
        for part in WORKDIR.trim_start_matches('/').split('/').chain(path.split('/')) {
            place.push(part);
            if place.symlink_metadata().ok()?.is_symlink() {
                return None;
            }
        }
        place.is_file().then(|| std::fs::read_to_string(place).ok()).flatten()
    })
}
