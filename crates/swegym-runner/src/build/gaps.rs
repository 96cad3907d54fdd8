//! What the folder of a commit lacks, because no repository of this machine has it: told
//! where it may be why something failed.

use serde_json::json;
use swegym_core::format::results::Fields;
use swegym_core::{Boundary, Fault};
use swegym_mine::Gaps;

/// Files that a message names.
const MOST_SHOWN: usize = 5;

/// A fault of the task, with what the commit's folder lacks, which may be why.
pub(super) fn explain(mut fault: Fault, gaps: &Gaps) -> Fault {
    if fault.boundary != Boundary::Task {
        return fault;
    }
    if !gaps.absent_files.is_empty() {
        let mut shown = gaps.absent_files[..gaps.absent_files.len().min(MOST_SHOWN)].join(", ");
        if gaps.absent_files.len() > MOST_SHOWN {
            shown.push_str(&format!(" and {} others", gaps.absent_files.len() - MOST_SHOWN));
        }
        fault.message.push_str(&format!("\nfiles that the repository does not have: {shown}"));
        fault = fault.with_hint("it is a partial clone: clone it again without --filter");
    }
    if !gaps.empty_submodules.is_empty() {
        let empty = gaps.empty_submodules.join(", ");
        fault.message.push_str(&format!("\nsubmodules of the commit are empty: {empty}"));
        fault = fault.with_hint(
            "give their repositories as well: --repository OWNER/NAME=FOLDER; what stands in brackets is their names",
        );
    }
    fault
}

/// Notes in a recipe what the commit's folder lacks.
pub(super) fn note(recipe: &mut Fields, gaps: &Gaps) {
    let lists = [("empty_submodules", &gaps.empty_submodules), ("absent_files", &gaps.absent_files)];
    for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        recipe.insert(name.to_owned(), json!(list));
    }
}
