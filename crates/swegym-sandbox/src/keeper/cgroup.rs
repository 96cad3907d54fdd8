//! Control groups, where this user may make them: version 2 if it has the
//! memory and pids controllers, else version 1, else none (then process limits
//! and the supervisor's watchdog stand in; reference/sandbox.md, section 2).

use std::fs;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use crate::limits::Limits;

/// Folders of this keeper, one a hierarchy, under which boxes get theirs.
pub(super) struct CgroupRoot {
    version: u8,
    /// (controller, folder); for version 2 one entry named `unified`.
    hierarchies: Vec<(&'static str, PathBuf)>,
    made: u64,
    /// Emptied groups, used again: making one costs more than a whole box.
    idle: Vec<Cgroup>,
}

/// The control groups of one box.
pub(super) struct Cgroup {
    folders: Vec<(&'static str, PathBuf)>,
    /// What is set, if known: most boxes of a run have the same limits.
    limits: Option<Limits>,
}

/// Files that let in who writes to them: the kernel asks who opened them. Joining
/// waits until every core has noticed, and that is for the box to do, not for the
/// keeper, whom all boxes wait for.
pub(super) struct Doors(Vec<fs::File>);

/// Counters the supervisor reads to tell a limit from a failure.
#[derive(Default)]
pub(crate) struct Witnesses {
    /// Text with a line `oom_kill N`: what was killed in the box for memory.
    pub(crate) memory: Option<OwnedFd>,
    /// A number, or text with a line `oom N`: how often the box's own limit was met. Where
    /// something was killed and this stands still, a limit around the box was.
    pub(crate) own_limit: Option<OwnedFd>,
    /// As `memory`, of the group that this process itself is in: the only one where
    /// boxes have none of their own.
    pub(crate) around: Option<OwnedFd>,
    /// Text with a line `max N`.
    pub(crate) processes: Option<OwnedFd>,
}

impl Witnesses {
    /// The same with each descriptor moved.
    pub(crate) fn try_map(self, mut to: impl FnMut(OwnedFd) -> io::Result<OwnedFd>) -> io::Result<Self> {
        let mut each = |fd: Option<OwnedFd>| fd.map(&mut to).transpose();
        Ok(Self {
            memory: each(self.memory)?,
            own_limit: each(self.own_limit)?,
            around: each(self.around)?,
            processes: each(self.processes)?,
        })
    }
}

/// Where the kernel counts what it killed for memory in the group that this process is in.
pub(super) fn own_kills() -> Option<PathBuf> {
    let groups = memory_groups()?;
    let file = if groups.version == 2 { "memory.events" } else { "memory.oom_control" };
    groups.folders.first().map(|folder| folder.join(file)).filter(|file| file.exists())
}

/// The groups that count this process's memory, its own first.
pub(crate) struct MemoryGroups {
    pub(crate) version: u8,
    pub(crate) folders: Vec<PathBuf>,
}

/// Looks them up. In a container the path is that of another mount; its root is there.
pub(crate) fn memory_groups() -> Option<MemoryGroups> {
    let table = fs::read_to_string("/proc/self/cgroup").ok()?;
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let v1 = group_of(&table, "memory").zip(v1_mount(&mounts, "memory")).map(|found| (1, found));
    let v2 = || {
        let own = table.lines().find_map(|line| line.strip_prefix("0::"))?;
        Some((2, (own, mount_point(&mounts, |kind, _| kind == "cgroup2")?)))
    };
    let (version, (own, mount)) = v1.or_else(v2)?;
    let own = mount.join(own.trim_start_matches('/'));
    let above = own.ancestors().take_while(|folder| folder.starts_with(&mount));
    let folders: Vec<PathBuf> = above.filter(|folder| folder.is_dir()).map(Path::to_path_buf).collect();
    Some(MemoryGroups { version, folders })
}

/// The path of this process's group in a hierarchy of version 1.
fn group_of<'a>(table: &'a str, controller: &str) -> Option<&'a str> {
    table.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let names = parts.next()?;
        names.split(',').any(|name| name == controller).then(|| parts.next())?
    })
}

fn v1_mount(mounts: &str, controller: &str) -> Option<PathBuf> {
    mount_point(mounts, |kind, options| kind == "cgroup" && options.split(',').any(|o| o == controller))
}

impl CgroupRoot {
    /// Looks for a place where this process may make groups, and makes its own.
    pub(super) fn find() -> Option<Self> {
        let table = fs::read_to_string("/proc/self/cgroup").ok()?;
        let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
        let name = format!("swegym-{}", std::process::id());
        let root = Self::find_v2(&table, &mounts, &name).or_else(|| Self::find_v1(&table, &mounts, &name))?;
        root.sweep();
        Some(root)
    }

    fn find_v2(table: &str, mounts: &str, name: &str) -> Option<Self> {
        let own = table.lines().find_map(|l| l.strip_prefix("0::"))?;
        let mount = mount_point(mounts, |kind, _| kind == "cgroup2")?;
        let own = mount.join(own.trim_start_matches('/'));
        // Beside us (a delegated slice), then below us (a delegated service or a container's root).
        for parent in [own.parent().map(Path::to_path_buf), Some(own.clone())].into_iter().flatten() {
            let folder = parent.join(name);
            if !folder.starts_with(&mount) || fs::create_dir(&folder).is_err() {
                continue;
            }
            let has = fs::read_to_string(folder.join("cgroup.controllers")).unwrap_or_default();
            let wanted = ["memory", "pids"];
            if wanted.iter().all(|w| has.split_whitespace().any(|c| c == *w)) {
                for controller in ["memory", "pids", "cpu"] {
                    let _ = fs::write(folder.join("cgroup.subtree_control"), format!("+{controller}"));
                }
                return Some(Self {
                    version: 2,
                    hierarchies: vec![("unified", folder)],
                    made: 0,
                    idle: vec![],
                });
            }
            let _ = fs::remove_dir(&folder);
        }
        None
    }

    fn find_v1(table: &str, mounts: &str, name: &str) -> Option<Self> {
        let mut hierarchies = Vec::new();
        for controller in ["memory", "pids", "cpu"] {
            let (Some(own), Some(mount)) = (group_of(table, controller), v1_mount(mounts, controller)) else {
                continue;
            };
            let folder = mount.join(own.trim_start_matches('/')).join(name);
            if fs::create_dir(&folder).is_ok() {
                hierarchies.push((controller, folder));
            }
        }
        let has = |name| hierarchies.iter().any(|(n, _)| *n == name);
        if has("memory") && has("pids") {
            return Some(Self { version: 1, hierarchies, made: 0, idle: vec![] });
        }
        for (_, folder) in hierarchies {
            let _ = fs::remove_dir(folder);
        }
        None
    }

    /// For `doctor`: which version and which controllers.
    pub(super) fn describe(&self) -> String {
        let names: Vec<_> = self.hierarchies.iter().map(|(n, _)| *n).collect();
        match self.version {
            2 => "cgroup v2: memory, pids, cpu".to_owned(),
            _ => format!("cgroup v1: {}", names.join(", ")),
        }
    }

    /// Removes groups of keepers that were killed.
    fn sweep(&self) {
        for (_, folder) in &self.hierarchies {
            let Some(Ok(siblings)) = folder.parent().map(fs::read_dir) else { continue };
            for sibling in siblings.flatten() {
                let name = sibling.file_name();
                let pid =
                    name.to_str().and_then(|n| n.strip_prefix("swegym-")).and_then(|p| p.parse::<u32>().ok());
                if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
                    for child in fs::read_dir(sibling.path()).into_iter().flatten().flatten() {
                        let _ = fs::remove_dir(child.path());
                    }
                    let _ = fs::remove_dir(sibling.path());
                }
            }
        }
    }

    pub(super) fn make(&mut self) -> io::Result<Cgroup> {
        Ok(match self.idle.pop() {
            Some(cgroup) => cgroup,
            None => {
                self.made += 1;
                let name = self.made.to_string();
                let folders: Vec<_> = self.hierarchies.iter().map(|(c, f)| (*c, f.join(&name))).collect();
                for (_, folder) in &folders {
                    fs::create_dir(folder)?;
                }
                Cgroup { folders, limits: None }
            }
        })
    }

    pub(super) fn release(&mut self, cgroup: Cgroup) {
        self.idle.push(cgroup);
    }

    pub(super) fn remove(self) {
        for cgroup in self.idle {
            for (_, folder) in cgroup.folders {
                let _ = fs::remove_dir(folder);
            }
        }
        for (_, folder) in self.hierarchies {
            let _ = fs::remove_dir(folder);
        }
    }
}

impl Cgroup {
    pub(super) fn limit(&mut self, limits: &Limits) -> io::Result<()> {
        if self.limits.as_ref() == Some(limits) {
            return Ok(());
        }
        self.limits = None;
        // Files in memory count as memory, so a full disk must fit beside the processes.
        let memory = (limits.memory_bytes + limits.disk_bytes).to_string();
        let pids = limits.processes.to_string();
        for (controller, folder) in &self.folders {
            let write = |file: &str, value: &str| fs::write(folder.join(file), value);
            match *controller {
                "memory" => write("memory.limit_in_bytes", &memory)?,
                "pids" => write("pids.max", &pids)?,
                "cpu" => write("cpu.cfs_quota_us", &quota(limits.cpu_cores, "-1"))?,
                _ => {
                    write("memory.max", &memory)?;
                    write("pids.max", &pids)?;
                    // Swapping a box would slow its neighbours; not every kernel accounts swap.
                    let _ = write("memory.swap.max", "0");
                    let _ = write("cpu.max", &format!("{} 100000", quota(limits.cpu_cores, "max")));
                }
            }
        }
        self.limits = Some(limits.clone());
        Ok(())
    }

    /// What a process of another user can join it by.
    pub(super) fn doors(&self) -> io::Result<Doors> {
        let open = |folder: &PathBuf| fs::OpenOptions::new().write(true).open(folder.join("cgroup.procs"));
        self.folders.iter().map(|(_, folder)| open(folder)).collect::<Result<_, _>>().map(Doors)
    }

    /// Opens the counters, in the child, before it loses sight of them.
    pub(super) fn witnesses(self) -> Witnesses {
        let open = |controller: &str, v1: &str, v2: &str| {
            let found = self.folders.iter().find(|(c, _)| *c == controller || *c == "unified")?;
            let file = if found.0 == "unified" { v2 } else { v1 };
            fs::File::open(found.1.join(file)).ok().map(OwnedFd::from)
        };
        Witnesses {
            memory: open("memory", "memory.oom_control", "memory.events"),
            own_limit: open("memory", "memory.failcnt", "memory.events"),
            around: None,
            processes: open("pids", "pids.events", "pids.events"),
        }
    }
}

impl Doors {
    /// Moves this process.
    pub(super) fn enter(self) -> io::Result<()> {
        self.0.into_iter().try_for_each(|mut door| door.write_all(b"0"))
    }
}

fn quota(cores: f64, unlimited: &str) -> String {
    if cores > 0.0 { format!("{}", (cores * 100_000.0) as u64) } else { unlimited.to_owned() }
}

/// The first mount whose kind and options fit.
fn mount_point(mounts: &str, fits: impl Fn(&str, &str) -> bool) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ');
        let (_, point, kind, options) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        fits(kind, options).then(|| PathBuf::from(point))
    })
}
