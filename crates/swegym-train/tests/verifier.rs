//! A verifier learns from attempts which changes are good, by either way of
//! answering, and says the same after it was written and read.

mod tiny;

use std::sync::Arc;

use swegym_core::chat::{Message, Role};
use swegym_train::checkpoint::{self, Held, Precision};
use swegym_train::corpus;
use swegym_train::decoder::Decoder;
use swegym_train::generation::{Generator, Limits};
use swegym_train::packing::Overlong;
use swegym_train::tokenizer::Tokenizer;
use swegym_train::tokens::TokenRow;
use swegym_train::trainer::{Settings, TrainError, Trainer};
use swegym_train::verifier::{Answer, Case, FILE, Judgement, Question, Verifier, judge};

const QUESTION: &str = "{{ issue }}\n{% for c in changes %}{{ c.after }}\n{% endfor %}resolved?";

fn verifier(answer: Answer) -> Verifier {
    Verifier {
        template: QUESTION.to_owned(),
        labels: ["YES".to_owned(), "NO".to_owned()],
        answer,
        overlong: Overlong::Cut,
        context: 160,
    }
}

/// Attempts at adding or subtracting: right if the change does what is asked.
fn attempts(count: usize) -> Vec<(Case, bool)> {
    (0..count)
        .map(|i| {
            let (asked, done) = (i % 2, i / 2 % 2);
            let patch = format!(
                "diff --git a/m.py b/m.py\n--- a/m.py\n+++ b/m.py\n@@ -1,2 +1,2 @@\n def f(a, b):\n-    return a\n+    return a {} b\n",
                ["+", "-"][done]
            );
            let issue = format!("case {}: {} b", i / 4, ["add", "subtract"][asked]);
            (Case { messages: vec![Message::of(Role::User, issue)], tools: Vec::new(), patch }, asked == done)
        })
        .collect()
}

fn tokenizer(verifier: &Verifier) -> Tokenizer {
    let texts: Vec<String> = attempts(8).iter().map(|(case, _)| verifier.ask(case).expect("text")).collect();
    corpus::train_tokenizer(&texts, 340, &[], None, corpus::WordRule::default()).expect("a tokenizer")
}

fn pool() -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("threads")
}

fn scores(
    decoder: Decoder,
    verifier: &Verifier,
    tokenizer: &Tokenizer,
    of: &[(Case, bool)],
) -> Vec<Judgement> {
    let mut generator = Generator::new(Arc::new(decoder), Arc::new(pool()), Limits::default());
    let ask = |(case, _): &(Case, bool)| verifier.question(tokenizer, case).expect("a question");
    let questions: Vec<Question> = of.iter().map(ask).collect();
    judge(&mut generator, questions, verifier.ids(tokenizer).expect("two labels"))
}

fn learns(answer: Answer) {
    let verifier = verifier(answer);
    let tokenizer = tokenizer(&verifier);
    let mut decoder = Decoder::fresh(tiny::shape(tokenizer.len(), 200), 3);
    if answer == Answer::Class {
        decoder = decoder.with_classes(2, 3).expect("whole weights");
    }
    let attempts = attempts(80);
    let (train, held_out) = attempts.split_at(64);
    let row = |(case, resolved): &(Case, bool)| verifier.row(&tokenizer, case, *resolved).expect("a row");
    let rows: Vec<TokenRow> = train.iter().filter_map(row).collect();
    assert!(
        rows.len() == 64 && rows.iter().all(|row| row.learnt() == 1 && row.loss_mask.last() == Some(&true))
    );
    let settings = Settings { context: 256, batch: 4, steps: Some(400), rate: 4e-3, ..Settings::default() };
    let mut trainer = Trainer::new(decoder, settings, &rows, pool()).expect("rows");
    while trainer.done() < trainer.steps() {
        trainer.step().expect("a step");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut files = tokenizer.files().to_vec();
    files.push((FILE.to_owned(), verifier.write()));
    checkpoint::write(folder.path(), &trainer.decoder, None, Precision::F32, &files).expect("written");
    let before = scores(trainer.decoder, &verifier, &tokenizer, held_out);
    for (judgement, (_, resolved)) in before.iter().zip(held_out) {
        let score = judgement.score.expect("a score");
        assert!(if *resolved { score > 0.8 } else { score < 0.2 }, "{score} of {resolved}");
        assert!(!judgement.overlong);
    }
    let read = checkpoint::read(folder.path(), Held::Whole).expect("a model");
    let again = Verifier::read(folder.path()).expect("readable").expect("a verifier");
    assert!(scores(read.decoder, &again, &tokenizer, held_out) == before);
}

#[test]
fn it_learns_to_say_a_label() {
    learns(Answer::Label);
}

#[test]
fn it_learns_with_a_head_of_classes() {
    learns(Answer::Class);
}

#[test]
fn a_question_that_is_too_long_is_flagged_and_never_best() {
    let mut verifier = verifier(Answer::Label);
    let tokenizer = tokenizer(&verifier);
    let decoder = || Decoder::fresh(tiny::shape(tokenizer.len(), 200), 3);
    let mut long = attempts(1);
    long[0].0.messages[0].content = "add ".repeat(400);
    let cut = scores(decoder(), &verifier, &tokenizer, &long)[0];
    assert!(cut.overlong && cut.score.is_some() && cut.tokens > 400, "{cut:?}");
    verifier.overlong = Overlong::Drop;
    let refused = scores(decoder(), &verifier, &tokenizer, &long)[0];
    assert_eq!(refused, Judgement { score: None, ..cut });
    assert_eq!(verifier.row(&tokenizer, &long[0].0, true).expect("no row"), None);
}

#[test]
fn labels_that_begin_alike_and_classes_that_are_not_there_are_refused() {
    let mut verifier = verifier(Answer::Label);
    let tokenizer = tokenizer(&verifier);
    verifier.labels = ["YES".to_owned(), "YES!".to_owned()];
    let error = verifier.ids(&tokenizer).expect_err("alike").to_string();
    assert_eq!(error, "the labels `YES` and `YES!` begin with the same token, or are empty");

    let decoder = Decoder::fresh(tiny::shape(64, 200), 3).with_classes(2, 0).expect("whole weights");
    let row = TokenRow { input_ids: vec![5, 2], loss_mask: vec![false, true], ..TokenRow::default() };
    let error = Trainer::new(decoder, Settings::default(), &[row], pool()).err().expect("no class 2");
    assert!(matches!(error, TrainError::Vocabulary { token: 2, vocabulary: 2, .. }), "{error}");
}
