//! What a run left, and what data are made of it.
//!
//! [`run_view`] reads a run's folder, and nothing else does. On it stand figures
//! ([`metrics`]), pages ([`report`], [`show`]), training data ([`export`], [`curate`],
//! [`rows`]), verifiers' scores and choices among attempts ([`score`], [`select`]).
//! [`grade`] reads logs of other harnesses, [`dataset`] datasets of any format.

pub mod curate;
pub mod dataset;
pub mod export;
pub mod grade;
pub mod metrics;
pub mod report;
pub mod rows;
pub mod run_view;
pub mod score;
pub mod select;
pub mod show;
