//! The keeper as a program of its own, for this crate's tests and for programs
//! that embed the sandbox; `swegym` carries the same code inside.

fn main() -> std::io::Result<()> {
    let home = std::env::args().next_back().unwrap_or_default();
    swegym_sandbox::keeper::run(&home)
}
