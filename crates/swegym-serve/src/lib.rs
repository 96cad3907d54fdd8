//! Models behind addresses: what this machine's engine answers, and what a script does.
//!
//! [`server`] answers OpenAI's protocol with a local model, [`script`] several protocols
//! with replies from a file and faults of real endpoints; both stand behind a [`door`].

pub mod door;
pub mod script;
pub mod server;
pub mod settings;
