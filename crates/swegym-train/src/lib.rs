//! The training engine: the decoder with its forward and backward pass, training, and
//! sampling.
//!
//! Synchronous throughout; knows nothing of sandboxes, agents or HTTP. Every result is
//! the same to the bit, whatever the number of threads.

pub mod adapter;
pub mod architecture;
pub mod checkpoint;
mod config;
pub mod conversation;
pub mod corpus;
pub mod curation;
pub mod decoder;
pub mod generation;
pub mod gradient;
pub mod layout;
pub mod mask;
mod ops;
pub mod optimizer;
pub mod packing;
pub mod policy;
pub mod recorded;
pub mod rope;
pub mod schedule;
pub mod template;
pub mod token_file;
pub mod token_row;
pub mod tokenizer;
pub mod tokens;
pub mod trainer;
pub mod verifier;
pub mod weights;
