//! The keeper as a program of its own, for this crate's tests and for programs
//! that embed the sandbox; `swegym` carries the same code inside.

fn main() -> std::io::Result<()> {
    swegym_sandbox::keeper::run()
}
