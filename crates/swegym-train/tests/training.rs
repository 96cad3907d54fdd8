//! Training as a user meets it: it learns, it goes on after a stop as if there
//! had been none, and bad data is named.

mod tiny;

use std::path::Path;

use swegym_train::adapter::{Adapter, AdapterShape};
use swegym_train::checkpoint::{self, Held, Precision, replace_folder};
use swegym_train::decoder::Decoder;
use swegym_train::packing::Overlong;
use swegym_train::tokens::TokenRow;
use swegym_train::trainer::{Settings, TrainError, Trainer};

fn decoder() -> Decoder {
    let shape = tiny::shape(64, 128);
    Decoder::fresh(shape, 1)
}

/// Sequences that count upwards in steps of their first token.
fn rows(count: usize) -> Vec<TokenRow> {
    (0..count)
        .map(|i| {
            let step = i as u32 % 5 + 1;
            let input_ids: Vec<u32> = (0..20 + i as u32 % 13).map(|n| (n * step + i as u32) % 64).collect();
            let loss_mask = input_ids.iter().enumerate().map(|(n, _)| n > 3).collect();
            TokenRow { input_ids, loss_mask, instance_id: format!("count-{i}"), ..TokenRow::default() }
        })
        .collect()
}

fn settings() -> Settings {
    Settings { context: 64, batch: 4, epochs: 12.0, rate: 1e-2, seed: 5, ..Settings::default() }
}

fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads")
}

fn trainer(threads: usize) -> Trainer {
    Trainer::new(decoder(), settings(), &rows(60), pool(threads)).expect("rows to learn from")
}

fn bits(trainer: &mut Trainer) -> Vec<u32> {
    trainer.decoder.trained_mut().expect("whole weights").iter().map(|x| x.to_bits()).collect()
}

#[test]
fn the_loss_falls_on_what_is_trained_and_on_what_is_not() {
    let mut trainer = trainer(2);
    let held_out = &rows(65)[60..];
    let before = trainer.evaluate(held_out).expect("rows").loss;
    let mut losses = Vec::new();
    while trainer.done() < trainer.steps() {
        losses.push(trainer.step().expect("a step").measured.loss);
    }
    let after = trainer.evaluate(held_out).expect("rows");
    assert!(losses.last() < losses.first().map(|first| first * 0.4).as_ref(), "{losses:?}");
    assert!(after.loss < before * 0.6, "{before} to {}", after.loss);
    assert!(after.accuracy > 0.4, "{after:?}");
}

#[test]
fn two_runs_give_the_same_weights_to_the_bit_whatever_the_threads() {
    let mut runs: Vec<Trainer> = [1, 2, 5].map(trainer).into();
    for run in &mut runs {
        (0..7).for_each(|_| _ = run.step().expect("a step"));
    }
    let first = bits(&mut runs[0]);
    assert!(bits(&mut runs[1]) == first && bits(&mut runs[2]) == first);
}

#[test]
fn a_resumed_run_gives_the_weights_of_an_unbroken_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("state");
    let mut unbroken = trainer(2);
    (0..9).for_each(|_| _ = unbroken.step().expect("a step"));
    let mut broken = trainer(2);
    (0..4).for_each(|_| _ = broken.step().expect("a step"));
    std::fs::create_dir(&place).expect("a folder");
    broken.save(&place).expect("a state");
    drop(broken);
    let mut resumed = trainer(1);
    resumed.restore(&place).expect("a state");
    (4..9).for_each(|_| _ = resumed.step().expect("a step"));
    assert!(bits(&mut resumed) == bits(&mut unbroken));

    let other = Settings { rate: 1e-4, ..settings() };
    let mut other = Trainer::new(decoder(), other, &rows(60), pool(1)).expect("rows");
    let error = other.restore(&place).expect_err("another run").to_string();
    assert!(error.contains("`rate` was \"0.01\", now it is \"0.0001\""), "{error}");
}

#[test]
fn adapters_train_alone_and_come_back_from_their_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("adapter");
    let mut base = decoder();
    let before = base.clone();
    let targets = ["q_proj", "v_proj", "down_proj"].map(str::to_owned).to_vec();
    let shape = AdapterShape { rank: 4, alpha: 8.0, by_root: false, targets };
    base.adapter = Some(Adapter::fresh(&base, shape, 3));
    let held = Decoder { weights: base.weights.clone().halved(&base.layout), ..base.clone() };
    // One with a head of classes brings the head along.
    let shape = base.adapter.as_ref().expect("an adapter").shape.clone();
    let judge = Adapter::fresh(&before.clone().with_classes(2, 1).expect("whole weights"), shape, 3);
    checkpoint::write_adapter(&place, &judge, "some/base", &[]).expect("a folder");
    let adopted = checkpoint::adopt(before.clone(), &place).expect("an adapter with its head");
    assert_eq!(adopted.shape.classes, Some(2));
    assert_eq!(adopted.adapter.expect("an adapter").numbers, judge.numbers);
    for decoder in [base, held] {
        let settings = Settings { rate: 0.1, ..settings() };
        let mut trainer = Trainer::new(decoder, settings, &rows(60), pool(2)).expect("rows");
        let first = trainer.step().expect("a step").measured.loss;
        (0..40).for_each(|_| _ = trainer.step().expect("a step"));
        let last = trainer.step().expect("a step").measured.loss;
        assert!(last < first * 0.9, "{first} to {last}");
        let adapter = trainer.decoder.adapter.as_ref().expect("an adapter");
        checkpoint::write_adapter(&place, adapter, "some/base", &[]).expect("a folder");
        let read = checkpoint::read_adapter(&place, &before).expect("an adapter");
        assert_eq!(read.numbers, adapter.numbers);
        assert_eq!(read.shape, adapter.shape);
    }
}

#[test]
fn folders_come_back_as_they_were_in_every_precision() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("model");
    let decoder = decoder();
    for (precision, most) in [(Precision::F32, 0.0), (Precision::Bf16, 4e-3), (Precision::F16, 5e-4)] {
        checkpoint::write(&place, &decoder, None, precision, &[]).expect("a folder");
        let read = checkpoint::read(&place, Held::Whole).expect("a model");
        assert_eq!((&read.decoder.shape, read.precision), (&decoder.shape, precision));
        let error = (0..decoder.layout.len)
            .map(|i| {
                let (a, b) = (decoder.weights.at(i), read.decoder.weights.at(i));
                (a - b).abs() / a.abs().max(1e-2)
            })
            .fold(0f32, f32::max);
        assert!(error <= most, "{precision:?}: {error}");
    }
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("a folder").collect();
    assert_eq!(left.len(), 1, "drafts and old folders are gone: {left:?}");
}

#[test]
fn a_checkpoint_that_cannot_be_written_leaves_the_one_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("model");
    let decoder = decoder();
    checkpoint::write(&place, &decoder, None, Precision::F32, &[]).expect("a folder");
    // A full disk, as the writer sees it.
    let full =
        |draft: &Path| checkpoint::write_synced(Path::new("/dev/full"), &[0; 1 << 20]).map(|()| _ = draft);
    let error = replace_folder(&place, full).expect_err("no room").to_string();
    assert!(error.contains("No space left"), "{error}");
    assert!(checkpoint::read(&place, Held::Whole).is_ok());
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "no draft is left");
    // A process that was killed could not remove its own.
    std::fs::create_dir_all(folder.path().join(".draft-x/deep")).expect("a folder");
    checkpoint::remove_drafts(folder.path()).expect("removed");
    assert!(checkpoint::read(&place, Held::Whole).is_ok());
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1);
}

#[test]
fn overlong_rows_are_dropped_cut_or_windowed_and_counted() {
    let long = TokenRow { input_ids: vec![1; 200], loss_mask: vec![true; 200], ..TokenRow::default() };
    let rows: Vec<TokenRow> = rows(5).into_iter().chain([long]).collect();
    let kept = |overlong| {
        let settings = Settings { overlong, ..settings() };
        let fitted = Trainer::new(decoder(), settings, &rows, pool(1)).expect("rows").fitted;
        assert_eq!(fitted.overlong, 1);
        fitted.kept
    };
    assert_eq!(kept(Overlong::Drop), 5);
    assert_eq!(kept(Overlong::Cut), 6);
    assert!(kept(Overlong::Window) > 6);
}

#[test]
fn bad_data_is_named() {
    let build =
        |rows: &[TokenRow]| Trainer::new(decoder(), settings(), rows, pool(1)).map(|_| ()).expect_err("bad");
    let masked: Vec<TokenRow> = rows(3)
        .into_iter()
        .map(|row| TokenRow { loss_mask: vec![false; row.input_ids.len()], ..row })
        .collect();
    let error = build(&masked).to_string();
    assert!(error.contains("of 3") && error.contains("3 have no learnt token"), "{error}");
    let mut odd = rows(3);
    odd[1].input_ids[4] = 64;
    let error = build(&odd).to_string();
    assert_eq!(error, "row 2 (count-1) has token 64; the model's vocabulary ends at 64");
    // Divided by the sum of weights, what is to be unlearnt would be learnt.
    let mut centred = rows(3);
    centred[2].weights = Some(vec![-0.25; centred[2].input_ids.len()]);
    let said = "row 3 (count-2) has a learnt token with the weight -0.25";
    assert_eq!(build(&centred).to_string(), said);
    let trainer = Trainer::new(decoder(), settings(), &rows(3), pool(1)).expect("rows");
    assert_eq!(trainer.evaluate(&centred).expect_err("bad").to_string(), said);
    // What is only read may weigh what it likes.
    let read = |row: TokenRow| {
        let weights = row.loss_mask.iter().map(|&learnt| if learnt { 0.5 } else { -1.0 }).collect();
        TokenRow { weights: Some(weights), ..row }
    };
    let read: Vec<TokenRow> = rows(3).into_iter().map(read).collect();
    assert!(trainer.evaluate(&read).is_ok());
}

#[test]
fn a_loss_that_is_no_number_stops_the_run_and_names_the_row() {
    let mut decoder = decoder();
    // The embedding of token 63 is broken; only one row has it.
    let (embedding, width) = (decoder.layout.embedding, decoder.shape.width);
    let mut rows = rows(8);
    for row in &mut rows {
        row.input_ids.iter_mut().for_each(|token| *token %= 60);
    }
    rows[6].input_ids[2] = 63;
    decoder.trained_mut().expect("whole weights")[embedding + 63 * width] = f32::NAN;
    let before: Vec<u32> = decoder.trained_mut().expect("whole").iter().map(|x| x.to_bits()).collect();
    // A tied head reads every embedding, so each row's loss would be broken.
    decoder.shape.tied = true;
    let mut trainer =
        Trainer::new(decoder, Settings { batch: 64, ..settings() }, &rows, pool(2)).expect("rows");
    let error = trainer.step().expect_err("a loss that is no number");
    assert!(matches!(error, TrainError::NotFinite { step: 1, .. }), "{error}");
    assert!(bits(&mut trainer) == before, "the weights are as before the step");
}
