//! Measurements against peers, in the same run, on this machine.

use crate::args::{GlobalArgs, Scenario};
use crate::error::CommandError;
use crate::printer::Printer;
use crate::settings::Environment;

pub(crate) async fn run(_: &GlobalArgs, _: Environment, _: Printer, _: Scenario) -> Result<u8, CommandError> {
    Ok(0)
}
