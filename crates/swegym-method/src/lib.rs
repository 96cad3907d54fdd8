//! The method: what makes tasks, attempts and models, step by step.
//!
//! A [`session`] has boxes and a user who may stop it. A [`stage`] is one run of one
//! pipeline verb; a [`Step`](step::Step) is one of those or one of the verbs on data and
//! models, with all that decides what it makes; a [`workshop`] takes steps in one folder
//! and does not repeat them. Of these consist [`quickstart`], [`improve`], [`paper`] and the
//! recipe of the [`base`] policy. [`settings`] has what each verb is told.

pub mod base;
mod gym;
pub mod improve;
pub mod paper;
pub mod quickstart;
pub mod real;
pub mod replay;
pub mod session;
pub mod settings;
pub mod stage;
pub mod step;
pub mod train;
pub mod workshop;
