//! What this machine allows, and which setting to change where it refuses.

use std::borrow::Cow;
use std::fs;
use std::path::Path;

use swegym_core::Hint as _;

use crate::base::Base;
use crate::embedded::{BoxSettings, Host};
use crate::image::Image;
use crate::sandbox::{Command, Sandbox as _, SandboxError};
use crate::store::Store;

/// One checked property of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub what: &'static str,
    /// Whether it is as it should be.
    pub good: bool,
    /// What was found.
    pub found: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Looks at the machine's settings, then starts one real box.
pub async fn examine(host: Result<&Host, &SandboxError>) -> Vec<Finding> {
    let mut findings = vec![kernel(), user_namespaces(), apparmor()];
    match host {
        Ok(host) => {
            findings.extend(limits(&host.limits_by()));
            let users = host.users();
            findings.push(Finding {
                what: "users",
                good: true,
                found: if users.is_empty() { "boxes run as this user".into() } else { users.clone() },
                hint: (!users.contains("every")).then(|| {
                    "what the kernel counts by user (descriptors on their way, instances of inotify, …) \
                     boxes share; as root, on a file system with mapped mounts, each has a user of its own"
                        .into()
                }),
            });
            findings.push(file_system(host.store()));
            findings.push(real_box(host).await);
        }
        Err(error) => {
            findings.push(Finding {
                what: "keeper",
                good: false,
                found: error.to_string(),
                hint: error.hint().map(Cow::into_owned),
            });
        }
    }
    findings
}

/// What holds each limit; `groups` are the controllers of control groups, if any.
fn limits(groups: &str) -> Vec<Finding> {
    let has = |controller: &str| groups.contains(controller);
    let held = |what, by: &str, hint: Option<&str>| Finding {
        what,
        good: true,
        found: by.to_owned(),
        hint: hint.map(str::to_owned),
    };
    let delegate = match manages_groups() {
        true => "control groups hold it exactly: run under `systemd-run --user --scope -p Delegate=yes`",
        false => "control groups would hold it exactly; nobody here gives one to this user",
    };
    let (memory, memory_hint) = match has("memory") {
        true => (groups.to_owned(), None),
        false => (
            "a limit for each process, and a look at all of them ten times a second; memory that nobody has \
             mapped is refused"
                .to_owned(),
            Some(delegate),
        ),
    };
    let processes = if has("pids") { groups } else { "a limit of the box's user namespace" };
    vec![
        held("memory", &memory, memory_hint),
        held("processes", processes, None),
        held("disk", "the size of the box's own memory file system", None),
        held(
            "cores",
            if has("cpu") { groups } else { "not held: the scheduler shares" },
            (!has("cpu")).then_some(delegate),
        ),
        held("processor time", "a limit for each process", None),
    ]
}

/// Whether a manager of this user's control groups runs: in a container or a batch
/// system's job there is none as a rule.
fn manages_groups() -> bool {
    let user = crate::sys::effective_ids().0;
    let systemd = Path::new("/run/systemd/system").exists();
    systemd && (user == 0 || Path::new(&format!("/run/user/{user}/bus")).exists())
}

/// What layers need of the file system that the store is on.
fn file_system(store: &Store) -> Finding {
    let finding =
        |good, found: String, hint: Option<String>| Finding { what: "file system", good, found, hint };
    match store.try_layer() {
        Ok(()) => finding(true, "links, attributes and deletions of layers".into(), None),
        Err(error) => {
            let why = std::error::Error::source(&error).map(|s| format!(": {s}")).unwrap_or_default();
            finding(false, format!("{error}{why}"), error.hint().map(Cow::into_owned))
        }
    }
}

fn kernel() -> Finding {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
    let mut numbers = release.split(['.', '-']).map(|n| n.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let good = version >= (6, 6);
    let hint = (!good).then(|| {
        "Linux 6.6 or newer keeps extended attributes of files in memory, which boxes need".to_owned()
    });
    Finding { what: "kernel", good, found: release, hint }
}

fn user_namespaces() -> Finding {
    let max = fs::read_to_string("/proc/sys/user/max_user_namespaces").unwrap_or_default().trim().to_owned();
    let allowed =
        fs::read_to_string("/proc/sys/kernel/unprivileged_userns_clone").unwrap_or_else(|_| "1".into());
    let good = max.parse::<u64>().is_ok_and(|m| m > 0) && allowed.trim() == "1";
    let hint = (!good).then(|| {
        "as root: `sysctl user.max_user_namespaces=15000 kernel.unprivileged_userns_clone=1`".to_owned()
    });
    Finding { what: "user namespaces", good, found: format!("at most {max}"), hint }
}

fn apparmor() -> Finding {
    let restricted =
        fs::read_to_string("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").unwrap_or_default();
    let good = restricted.trim() != "1";
    let hint = (!good).then(|| "as root: `sysctl kernel.apparmor_restrict_unprivileged_userns=0`".to_owned());
    Finding { what: "AppArmor", good, found: if good { "no restriction" } else { "restricts" }.into(), hint }
}

async fn real_box(host: &Host) -> Finding {
    let attempt = async {
        let image = Image::new(Base::host(host.store())?);
        let sandbox = host.start_box(&image, &BoxSettings::default()).await?;
        let done = sandbox.exec(Command::shell("git --version", std::time::Duration::from_secs(10))).await?;
        sandbox.stop().await?;
        Ok::<_, SandboxError>(done.succeeded())
    };
    match attempt.await {
        Ok(true) => {
            Finding { what: "a real box", good: true, found: "started, ran, gone".into(), hint: None }
        }
        Ok(false) => {
            let hint = Some("are bash and git in /usr/bin? boxes do not see /usr/local".to_owned());
            Finding { what: "a real box", good: false, found: "bash or git does not run in it".into(), hint }
        }
        Err(error) => {
            let why = std::error::Error::source(&error).map(|s| format!(": {s}")).unwrap_or_default();
            Finding {
                what: "a real box",
                good: false,
                found: format!("{error}{why}"),
                hint: error.hint().map(Cow::into_owned),
            }
        }
    }
}
