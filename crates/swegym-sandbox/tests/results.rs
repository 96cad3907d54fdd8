//! Results through a descriptor whose other end is the supervisor's alone.

mod common;

use common::{SECOND, world};
use swegym_sandbox::{Command, RESULTS_FD, Results, Sandbox as _};

fn writing(line: &str, limit: u64) -> Command {
    Command::shell(&line.replace("FD", &RESULTS_FD.to_string()), 20 * SECOND).with_results(limit)
}

#[tokio::test]
async fn results_are_what_was_written_before_the_end() {
    let world = world().await;
    let sandbox = world.start().await;
    let whole = |text: &str| Results::Whole(text.as_bytes().to_vec());
    let cases = [
        ("echo one >&FD; echo two >&FD; echo printed", whole("one\ntwo\n")),
        ("true", whole("")),
        ("exec FD>&-", whole("")),
        // A child, while the command runs.
        ("(echo child >&FD) & wait", whole("child\n")),
        // Processes that live on, in the group and out of it, have nothing more to say.
        ("echo in time >&FD; (sleep 0.3; echo late >&FD) & exit 0", whole("in time\n")),
        ("echo in time >&FD; setsid bash -c 'sleep 0.2; echo late >&FD' & exit 0", whole("in time\n")),
        // Many bytes at once, more than a pipe holds.
        ("head -c 1000000 /dev/zero >&FD", Results::Whole(vec![0; 1_000_000])),
        ("head -c 1000001 /dev/zero >&FD; echo goes on", Results::TooLarge(1_000_000)),
    ];
    for (line, expected) in cases {
        let done = sandbox.exec(writing(line, 1_000_000)).await.unwrap();
        assert!(done.succeeded(), "{line}: {done:?}");
        assert!(done.results == expected, "{line}");
    }
    // Nobody can look into it from outside the command, and who is given none has none.
    let plain = sandbox.exec(Command::shell(&format!("echo x >&{RESULTS_FD}"), SECOND)).await.unwrap();
    assert!(!plain.succeeded() && plain.results == Results::NotAsked);
    sandbox.stop().await.unwrap();
}

#[tokio::test]
async fn a_writer_without_end_is_stopped_by_the_clock_alone() {
    let world = world().await;
    let sandbox = world.start().await;
    let mut command = writing("cat /dev/zero >&FD", 1000);
    command.timeout = SECOND;
    let done = sandbox.exec(command).await.unwrap();
    assert!(matches!(done.end, swegym_sandbox::End::TimedOut(_)), "{:?}", done.end);
    assert_eq!(done.results, Results::TooLarge(1000));
    let next = sandbox.exec(writing("echo fine >&FD", 1000)).await.unwrap();
    assert_eq!(next.results, Results::Whole(b"fine\n".to_vec()));
    sandbox.stop().await.unwrap();
}
