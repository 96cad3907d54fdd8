//! Datasets: any file gives rows, errors or a refusal, and any row can be
//! written in every shape, checked, counted and filtered. Graders read rows in
//! a quicker way of their own, to the same end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use swegym_core::format::instances::Need;
use swegym_tasks::dataset::check::{Checked, Checker};
use swegym_tasks::dataset::statistics::{Counts, Statistics};
use swegym_tasks::dataset::{self, Rows, Shape, lite};

fuzz_target!(|bytes: &[u8]| {
    let path = std::env::temp_dir().join(format!("swegym-fuzz-{}", std::process::id()));
    std::fs::write(&path, bytes).expect("a folder for temporary files");
    for need in [Need::Grading, Need::Everything] {
        if let Ok(rows) = dataset::instances(&path, need) {
            let mut statistics = Statistics::default();
            // A few bytes of a damaged file can promise many rows.
            for instance in rows.take(1000).filter_map(Result::ok) {
                statistics.add(&Counts::of(&instance));
                let _ = lite::drops(&instance, |_, _| false);
                for shape in Shape::ALL {
                    let _ = shape.row(instance.clone());
                }
            }
        }
    }
    for row in Rows::open(&path).into_iter().flatten().take(1000).flatten() {
        let whole = row.read().and_then(|row| Shape::of(&row.fields).instance(row, Need::Grading));
        if let Ok(whole) = whole {
            let quick = row.for_grading().expect("the other reader reads it");
            assert_eq!(quick.instance_id, whole.instance_id);
            assert_eq!((quick.fail_to_pass, quick.pass_to_pass), (whole.fail_to_pass, whole.pass_to_pass));
            assert_eq!((quick.log_parser, quick.eval_type), (whole.log_parser, whole.eval_type));
        }
    }
    if let Ok(rows) = Rows::open(&path) {
        let mut checker = Checker::default();
        for row in rows.take(1000) {
            checker.note(&mut Checked::of(row));
        }
    }
});
