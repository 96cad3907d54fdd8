//! A program whose output is read while it runs, however long that is, and which is
//! asked meanwhile.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;

use super::{ToolError, last_words};

/// How much of what it complains of is kept, in bytes.
const COMPLAINTS: u64 = 64 << 10;

/// A running program. Dropped, it is killed.
pub struct Stream {
    program: String,
    child: Child,
    stdin: Option<BufWriter<ChildStdin>>,
    stdout: BufReader<ChildStdout>,
    complaints: Option<JoinHandle<Vec<u8>>>,
    feeder: Option<JoinHandle<()>>,
}

impl Stream {
    /// Starts a program with these variables in its environment.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start<S: AsRef<OsStr>>(
        program: &str,
        arguments: impl IntoIterator<Item = S>,
        variables: &[(&str, &str)],
    ) -> Result<Self, ToolError> {
        let start = |source| ToolError::Start { program: program.to_owned(), source };
        #[expect(clippy::disallowed_methods, reason = "this is the helper the ban points to")]
        let mut command = Command::new(program);
        command
            .args(arguments)
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = command.spawn().map_err(start)?;
        let missing = || start(io::ErrorKind::BrokenPipe.into());
        let stdin = child.stdin.take().map(BufWriter::new);
        let stdout = child.stdout.take().map(|pipe| BufReader::with_capacity(1 << 16, pipe));
        let complaints = child.stderr.take().map(|pipe| std::thread::spawn(move || collect(pipe)));
        let stdout = stdout.ok_or_else(missing)?;
        Ok(Self { program: program.to_owned(), child, stdin, stdout, complaints, feeder: None })
    }

    /// Gives it all lines to read, while its output is read. Lines end themselves.
    pub fn feed(&mut self, lines: impl Iterator<Item = String> + Send + 'static) {
        let Some(mut stdin) = self.stdin.take() else { return };
        self.feeder = Some(std::thread::spawn(move || {
            // A program that has gone reads no more; its status tells why.
            for line in lines {
                if stdin.write_all(line.as_bytes()).is_err() {
                    return;
                }
            }
            let _ = stdin.flush();
        }));
    }

    /// Gives it one line, now.
    ///
    /// # Errors
    /// It has gone, or was fed to the end before.
    pub fn ask(&mut self, line: &str) -> io::Result<()> {
        let stdin = self.stdin.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        stdin.write_all(line.as_bytes())?;
        stdin.flush()
    }

    /// Waits for its end, after its output was read to the end.
    ///
    /// # Errors
    /// It failed; says what it complained of.
    pub fn finish(mut self) -> Result<(), ToolError> {
        drop(self.stdin.take());
        let ended = self.child.wait();
        let complaints = self.complaints.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        let status = ended.map_err(|source| ToolError::Start { program: self.program.clone(), source })?;
        if status.success() {
            return Ok(());
        }
        Err(ToolError::Failed { program: self.program.clone(), status, stderr: last_words(&complaints) })
    }
}

/// Reads to the end, so that a talkative program is not held up; keeps the beginning.
fn collect(mut pipe: ChildStderr) -> Vec<u8> {
    let mut kept = Vec::new();
    let _ = pipe.by_ref().take(COMPLAINTS).read_to_end(&mut kept);
    let _ = io::copy(&mut pipe, &mut io::sink());
    kept
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stdout.read(buffer)
    }
}

impl BufRead for Stream {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.stdout.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        self.stdout.consume(amount);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // It writes to nobody now, and ends.
        if let Some(feeder) = self.feeder.take() {
            let _ = feeder.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_read_while_input_is_written() {
        let mut cat = Stream::start("cat", [""; 0], &[]).unwrap();
        cat.feed((0..200_000).map(|n| format!("{n}\n")));
        let lines = cat.by_ref().lines().map_while(Result::ok).count();
        assert_eq!(lines, 200_000);
        cat.finish().unwrap();
    }

    #[test]
    fn a_question_has_its_answer_at_once() {
        let mut cat = Stream::start("cat", [""; 0], &[]).unwrap();
        for word in ["one\n", "two\n"] {
            cat.ask(word).unwrap();
            let mut answer = String::new();
            cat.read_line(&mut answer).unwrap();
            assert_eq!(answer, word);
        }
        cat.finish().unwrap();
    }

    #[test]
    fn a_failure_says_what_was_complained_of() {
        let stream = Stream::start("sh", ["-c", "echo \"$WORD\" >&2; exit 3"], &[("WORD", "no")]).unwrap();
        let error = stream.finish().unwrap_err().to_string();
        assert!(error.contains("no") && error.contains('3'), "{error}");
        assert!(Stream::start("no-such-program", [""; 0], &[]).is_err());
    }

    #[test]
    fn whoever_stops_reading_waits_for_nobody() {
        let mut yes = Stream::start("yes", [""; 0], &[]).unwrap();
        yes.feed(std::iter::repeat_n("word\n".to_owned(), 1_000_000));
        let mut line = String::new();
        yes.read_line(&mut line).unwrap();
        drop(yes);
    }
}
