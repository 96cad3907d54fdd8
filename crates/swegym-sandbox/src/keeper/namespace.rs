//! Inside the new namespaces: from a bare clone to the supervisor of a box.
//!
//! Covered: a root of its own (overlay on memory), private `/dev`, `/proc`,
//! `/tmp`, terminals and loopback; one user; no new privileges; a small set of
//! capabilities; a system-call filter; limits. Not covered: the kernel itself:
//! a box is as strong as the kernel's namespaces are.

use std::ffi::c_ulong;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::cgroup::{Doors, Witnesses};
use super::seccomp::{self, Memory};
use super::users::LAYERS;
use crate::supervisor;
use crate::sys;
use crate::wire::{BoxSpec, Reply};

type Step<T> = Result<T, (&'static str, io::Error)>;

/// Namespaces that a box is born in.
pub(super) const FIRST: libc::c_int = libc::CLONE_NEWUSER | libc::CLONE_NEWPID | libc::CLONE_NEWNS;

/// Those that it makes itself: a network takes longer than all the others, and the
/// keeper has other boxes to see to.
const SECOND: libc::c_int = libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;

/// The step in which either is refused.
pub(super) const MAKING: &str = "making namespaces";

/// First byte of a guess that will come true: the keeper asks nothing else.
pub(super) const CERTAIN: u8 = 2;

/// Device files that a box has.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Links in `/dev`.
const LINKS: [(&str, &str); 5] = [
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// What of `/proc` tells about the machine and not about the box, as runc hides it,
/// and what it leaves in sight.
const HIDDEN: [&str; 31] = [
    "acpi",
    "asound",
    "buddyinfo",
    "bus",
    "cmdline",
    "config.gz",
    "diskstats",
    "driver",
    "fs",
    "interrupts",
    "iomem",
    "ioports",
    "irq",
    "kallsyms",
    "kcore",
    "key-users",
    "keys",
    "latency_stats",
    "modules",
    "pagetypeinfo",
    "partitions",
    "pressure",
    "sched_debug",
    "schedstat",
    "scsi",
    "slabinfo",
    "softirqs",
    "timer_list",
    "tty",
    "vmallocinfo",
    "zoneinfo",
];

/// What of the host's programs boxes do not see: what its owner put there.
/// A box has a folder of its own in its place.
const NOT_SHOWN: &str = "usr/local";

/// Where nothing but the user says whose it is, a box may have so much of what
/// the kernel counts by user.
const SHARED_INOTIFY: &str = "16";
const SHARED_QUEUES: u64 = 200_000;

/// Terminals of a box; the machine has a few thousand.
const TERMINALS: u32 = 64;

/// All processes of a box together may hold one part in so many of the files that
/// the machine can have open; each may have this many whatever comes of it.
const SHARE_OF_FILES: u64 = 4;
const FEWEST_FILES: u64 = 4096;

/// Signals and timers that may be pending.
const PENDING: u64 = 4096;

/// Pages of System V's shared memory, where no control group counts memory: the
/// watchdog sees only what is attached.
const SHARED_PAGES: &str = "16384";

/// Capabilities kept inside the user namespace: what ordinary installers and
/// test suites do as "root" (own files, switch user, low ports), nothing that
/// reaches mounts, the network's set-up, other processes or the kernel.
const KEPT_CAPABILITIES: [u32; 8] = [0, 1, 3, 4, 5, 6, 7, 10];

/// Makes the other namespaces, waits for what the box is to be, sets it up and
/// becomes its supervisor. Never returns. `channel` hears that the namespaces stand,
/// says that the user map does, with a guess at what the box will be, and later
/// brings the specification with the socket to the host.
pub(super) fn enter(
    channel: OwnedFd,
    layers: Option<OwnedFd>,
    doors: Option<Doors>,
    witnesses: Witnesses,
    sights: &Sights,
) -> ! {
    let made = sys::make_namespaces(SECOND);
    let errno = made.map_or_else(|e| e.raw_os_error().unwrap_or(libc::EIO), |()| 0);
    if sys::send_with_fd(channel.as_raw_fd(), &errno.to_ne_bytes(), None).is_err() || errno != 0 {
        sys::exit_now(1);
    }
    let mut message = vec![0; 256 << 10];
    let Ok((n @ 1.., _)) = sys::receive_with_fd(channel.as_raw_fd(), &mut message) else { sys::exit_now(1) };
    let guess = BoxSpec::decode(&message[..n]).ok();
    let certain = message[0] == CERTAIN;
    let Ok(home) = fs::File::open(".").map(OwnedFd::from) else { sys::exit_now(1) };
    let prepared = prepare(layers, doors, sights);
    let filter = &seccomp::filter(prepared.as_ref().map_or(Memory::Counted, |common| common.memory));
    // Boxes of a run resemble each other: most of this one may stand before it
    // is asked for. A guess that cannot be staged is no harm.
    let ahead = match guess.filter(|_| prepared.is_ok()).map(|spec| Root::stage(spec, sights)) {
        Some(Ok(root)) if certain => Ahead::Settled(root.settle(filter).unwrap_or_else(|_| sys::exit_now(1))),
        Some(Ok(root)) => Ahead::Staged(root),
        Some(Err(_)) => Ahead::Ruined,
        None => Ahead::Nothing,
    };
    let Ok((n, Some(socket))) = sys::receive_with_fd(channel.as_raw_fd(), &mut message) else {
        sys::exit_now(0)
    };
    // Made in others' spare time; from here on it is in a hurry like them.
    let _ = sys::set_time_slice(None);
    let Ok(spec) = BoxSpec::decode(&message[..n]) else { sys::exit_now(1) };
    drop((channel, message));
    let stands = prepared.and_then(|common| set_up(&spec, ahead, &home, &common, sights, filter));
    match stands.and_then(|upper| Ok((upper, listen(spec.port)?))) {
        Ok((upper, listener)) => {
            drop(home);
            let greeted = greet(&socket, listener.as_ref());
            // Whoever in the box had it could answer in the host's place.
            drop(listener);
            if greeted.is_ok() {
                supervisor::run(socket, upper, witnesses, &spec);
            }
            sys::exit_now(0)
        }
        Err((step, error)) => {
            let errno = error.raw_os_error().unwrap_or(libc::EIO);
            let failed = Reply::Failed { step: step.to_owned(), errno }.frame();
            let _ = sys::send_with_fd(socket.as_raw_fd(), &failed, None);
            sys::exit_now(1)
        }
    }
}

/// The keeper's side of a box's first word.
pub(super) fn await_namespaces(channel: &OwnedFd) -> io::Result<()> {
    let mut errno = [0; 4];
    match sys::receive_with_fd(channel.as_raw_fd(), &mut errno)? {
        (4, _) if errno == [0; 4] => Ok(()),
        (4, _) => Err(io::Error::from_raw_os_error(i32::from_ne_bytes(errno))),
        _ => Err(io::Error::from_raw_os_error(libc::ECHILD)),
    }
}

/// A socket for the host, which lies outside the box's network and answers in it.
fn listen(port: Option<u16>) -> Step<Option<TcpListener>> {
    let listener = port.map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port))).transpose();
    let listener = listener.and_then(|l| l.map(|l| l.set_nonblocking(true).map(|()| l)).transpose());
    at("listening for the host", listener)
}

/// Tells the host that the box stands.
fn greet(socket: &OwnedFd, listener: Option<&TcpListener>) -> io::Result<()> {
    let listener = listener.map(|listener| listener.as_fd());
    sys::send_with_fd(socket.as_raw_fd(), &Reply::Ready.frame(), listener)
}

/// What stands before the box is asked for.
enum Ahead {
    Nothing,
    /// Staging failed on the way.
    Ruined,
    /// A root that may still be taken down.
    Staged(Root),
    /// A root for good; the keeper gives it to no other box. Its upper folder.
    Settled(OwnedFd),
}

/// What is the same for every box.
struct Common {
    /// How its memory is held.
    memory: Memory,
    /// How many files the machine can have open.
    files: u64,
}

/// All that can stand before anything is known of the box.
fn prepare(layers: Option<OwnedFd>, doors: Option<Doors>, sights: &Sights) -> Step<Common> {
    let shares_user = layers.is_none();
    let has_cgroup = doors.is_some();
    let files = at("setting limits", fs::read_to_string("/proc/sys/fs/file-max"))?;
    at("becoming the box's user", become_the_box_user())?;
    // After the change of user, which clears it.
    at("tying the box to its keeper", sys::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as c_ulong))?;
    at("joining a control group", doors.map_or(Ok(()), Doors::enter))?;
    // That group is the top of what it sees.
    at("naming the control group", sys::make_namespaces(libc::CLONE_NEWCGROUP))?;
    at("making mounts private", sys::mount("", "/", "", libc::MS_REC | libc::MS_PRIVATE, ""))?;
    if let Some(layers) = layers {
        at("showing the layers as the box's own", sys::attach_mount(&layers, LAYERS))?;
    }
    // SAFETY: a constant name.
    at("naming the box", sys::check(unsafe { libc::sethostname(c"box".as_ptr(), 3) }).map(drop))?;
    at("bringing up loopback", sys::bring_loopback_up())?;
    // The size is the box's own, and set when it is known.
    at(
        "mounting memory for the writable layer",
        sys::mount("tmpfs", "mnt", "tmpfs", libc::MS_NODEV, "mode=0755"),
    )?;
    let made = ["mnt/u", "mnt/w", "mnt/m", "mnt/t", "mnt/d", "mnt/p", "mnt/e", "mnt/l"]
        .iter()
        .try_for_each(fs::create_dir);
    at("preparing the writable layer", made)?;
    at("mounting /tmp", fs::set_permissions("mnt/t", fs::Permissions::from_mode(0o1777)))?;
    stage_devices(has_cgroup)?;
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    at("mounting /proc", sys::mount("proc", "mnt/p", "proc", flags, ""))?;
    if shares_user {
        // A kernel that has no such limit has none to set.
        let _ = fs::write("mnt/p/sys/user/max_inotify_instances", SHARED_INOTIFY);
    }
    let memory = match has_cgroup {
        true => Memory::Counted,
        false if fs::write("mnt/p/sys/kernel/shmall", SHARED_PAGES).is_ok() => Memory::Watched,
        false => Memory::WatchedWithoutShared,
    };
    at("hiding parts of /proc", sights.hide())?;
    at("setting limits", set_common_limits(shares_user))?;
    drop_unwanted_capabilities();
    at("refusing new privileges", sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1))?;
    Ok(Common { memory, files: files.trim().parse().unwrap_or(u64::MAX) })
}

/// What boxes would see of this machine.
pub(super) struct Sights {
    /// Of [`HIDDEN`], each with whether it is a folder.
    hidden: Vec<(&'static str, bool)>,
    /// Where the machine has mounted something: an overlay would not show it.
    mounts: Vec<PathBuf>,
}

impl Sights {
    /// What only the host's root may read of `/proc` is out of reach without our help.
    pub(super) fn find() -> Self {
        let in_sight = |name| Some((name, is_folder_in_sight(Path::new("/proc"), name)?));
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let place = |line: &str| line.split(' ').nth(4).map(PathBuf::from);
        Self {
            hidden: HIDDEN.into_iter().filter_map(in_sight).collect(),
            mounts: mounts.lines().filter_map(place).collect(),
        }
    }

    /// Whether something is mounted below a folder that boxes see.
    fn has_mounts_below(&self, folder: &str) -> bool {
        let is_below = |place: &PathBuf| place.starts_with(folder) && place != Path::new(folder);
        let local = Path::new("/").join(NOT_SHOWN);
        self.mounts.iter().any(|place| is_below(place) && !place.starts_with(&local))
    }

    /// Puts nothing in the place of what is not the box's business, and keeps the
    /// kernel's settings as they are.
    fn hide(&self) -> io::Result<()> {
        let proc = Path::new("mnt/p");
        // Read-only once, and so is every mount of it.
        sys::mount("mnt/e", "mnt/e", "", libc::MS_BIND, "")?;
        sys::make_read_only("mnt/e")?;
        for name in HIDDEN {
            let hide = |is_folder| {
                let nothing = if is_folder { "mnt/e" } else { "mnt/d/null" };
                sys::mount(nothing, &format!("mnt/p/{name}"), "", libc::MS_BIND, "")
            };
            // A look costs as much as a mount, and seldom tells anything new.
            let known = self.hidden.iter().find(|(known, _)| *known == name);
            if known.is_some_and(|(_, is_folder)| hide(*is_folder).is_ok()) {
                continue;
            }
            is_folder_in_sight(proc, name).map_or(Ok(()), hide)?;
        }
        sys::mount("mnt/p/sys", "mnt/p/sys", "", libc::MS_BIND, "")?;
        sys::make_read_only("mnt/p/sys")
    }
}

/// `None` for what is not there or not in sight.
fn is_folder_in_sight(proc: &Path, name: &str) -> Option<bool> {
    let kind = fs::symlink_metadata(proc.join(name)).ok()?;
    (kind.permissions().mode() & 0o004 != 0).then_some(kind.is_dir())
}

/// `/dev`, put together where it can be moved from in one piece.
fn stage_devices(has_cgroup: bool) -> Step<()> {
    at("making /dev", sys::mount("mnt/d", "mnt/d", "", libc::MS_BIND, ""))?;
    for device in DEVICES {
        let target = format!("mnt/d/{device}");
        at("making /dev", fs::write(&target, ""))?;
        // It reads alike, and cannot be mapped: such memory is nobody's.
        let source = if device == "zero" && !has_cgroup { "full" } else { device };
        at("showing a device", sys::mount(&format!("/dev/{source}"), &target, "", libc::MS_BIND, ""))?;
    }
    for (link, target) in LINKS {
        at("making /dev", std::os::unix::fs::symlink(target, format!("mnt/d/{link}")))?;
    }
    at("making /dev", ["mnt/d/pts", "mnt/d/shm"].iter().try_for_each(fs::create_dir))?;
    at("making /dev", fs::set_permissions("mnt/d/shm", fs::Permissions::from_mode(0o1777)))?;
    let flags = libc::MS_NOSUID | libc::MS_NOEXEC;
    let options = format!("newinstance,ptmxmode=0666,mode=0620,max={TERMINALS}");
    at("mounting terminals", sys::mount("devpts", "mnt/d/pts", "devpts", flags, &options))
}

fn at<T>(step: &'static str, result: io::Result<T>) -> Step<T> {
    result.map_err(|error| (step, error))
}

fn set_up(
    spec: &BoxSpec,
    ahead: Ahead,
    home: &OwnedFd,
    common: &Common,
    sights: &Sights,
    filter: &[libc::sock_filter],
) -> Step<OwnedFd> {
    let upper = match ahead {
        Ahead::Settled(upper) => upper,
        Ahead::Staged(root) if root.spec.has_same_root(spec) => root.settle(filter)?,
        Ahead::Staged(_) | Ahead::Ruined => {
            take_down_root(home)?;
            Root::stage(spec.clone(), sights)?.settle(filter)?
        }
        Ahead::Nothing => Root::stage(spec.clone(), sights)?.settle(filter)?,
    };
    at("setting limits", set_limits(spec, common))?;
    at("hiding the supervisor", sys::prctl(libc::PR_SET_DUMPABLE, 0))?;
    Ok(upper)
}

fn become_the_box_user() -> io::Result<()> {
    // SAFETY: plain system calls; setgroups fails where an ordinary user had to give it up.
    unsafe {
        libc::setsid();
        let _ = libc::setgroups(0, std::ptr::null());
        sys::check(libc::setresgid(0, 0, 0))?;
        sys::check(libc::setresuid(0, 0, 0))?;
    }
    Ok(())
}

/// The root of a box as it will be, but for `/dev` and `/proc`, at `mnt/m`
/// under the home folder, and the working folder in it.
struct Root {
    spec: BoxSpec,
    /// Collects what the box writes.
    upper: OwnedFd,
}

impl Root {
    fn stage(spec: BoxSpec, sights: &Sights) -> Step<Self> {
        let upper = mount_root(&spec, sights)?;
        Ok(Self { spec, upper })
    }

    /// Makes it this process's root, and gives up the means to make another.
    fn settle(self, filter: &[libc::sock_filter]) -> Step<OwnedFd> {
        for (source, target) in [("../d", "dev"), ("../p", "proc")] {
            at("moving /dev and /proc in", sys::mount(source, target, "", libc::MS_MOVE, ""))?;
        }
        at("changing the root", sys::pivot_to_working_folder())?;
        at("dropping capabilities", keep_capabilities())?;
        at("filtering system calls", seccomp::install(filter))?;
        Ok(self.upper)
    }
}

/// Undoes as much of a staged root as there is, and goes back to the home folder.
fn take_down_root(home: &OwnedFd) -> Step<()> {
    at("leaving a root", sys::change_folder(home))?;
    // Nothing is mounted there if the guess failed early.
    let _ = sys::unmount("mnt/l");
    let _ = sys::unmount("mnt/m");
    // A volatile overlay leaves a mark that refuses another one.
    let anew = |folder: &str| fs::remove_dir_all(folder).and_then(|()| fs::create_dir(folder));
    at("preparing the writable layer", anew("mnt/u").and_then(|()| anew("mnt/w")))
}

/// Mounts everything; enters it.
fn mount_root(spec: &BoxSpec, sights: &Sights) -> Step<OwnedFd> {
    // Every inode costs kernel memory that `size` does not count.
    let inodes = spec.limits.disk_bytes / 4096 + 1024;
    let options = format!("size={},nr_inodes={inodes}", spec.limits.disk_bytes);
    at("sizing the writable layer", sys::mount("", "mnt", "", libc::MS_REMOUNT | libc::MS_NODEV, &options))?;
    let lower = spec.layers.join(":");
    let options = format!("lowerdir={lower},upperdir=mnt/u,workdir=mnt/w,userxattr,volatile");
    at("mounting the overlay", sys::mount("overlay", "mnt/m", "overlay", libc::MS_NODEV, &options))?;
    let folder = fs::OpenOptions::new().read(true).custom_flags(libc::O_DIRECTORY).open("mnt/u");
    let upper = OwnedFd::from(at("opening the writable layer", folder)?);
    at("entering the new root", std::env::set_current_dir("mnt/m"))?;
    // An image that was frozen from a box at work brings a `/tmp` along.
    at("filling /tmp", copy_tree(Path::new("tmp"), Path::new("../t")))?;
    at("mounting /tmp", sys::mount("../t", "tmp", "", libc::MS_BIND, ""))?;
    for folder in &spec.host_folders {
        let target = folder.trim_start_matches('/');
        let hides = Path::new(NOT_SHOWN).starts_with(target) && Path::new("/").join(NOT_SHOWN).is_dir();
        if hides {
            at("making a folder of the box's own", fs::create_dir_all(NOT_SHOWN))?;
            at("making a folder of the box's own", sys::mount(NOT_SHOWN, "../l", "", libc::MS_BIND, ""))?;
        }
        at("showing the host's programs", show(folder, target, sights))?;
        at("making the host's programs read-only", sys::make_read_only(target))?;
        if hides {
            at("making a folder of the box's own", sys::mount("../l", NOT_SHOWN, "", libc::MS_BIND, ""))?;
        }
    }
    at("telling the memory limit", tell_memory(spec.limits.memory_bytes))?;
    Ok(upper)
}

/// Tells the memory limit where programs look for a control group's: those that take a share
/// of what there is would take it of the machine's.
fn tell_memory(limit: u64) -> io::Result<()> {
    if !fs::symlink_metadata("sys").is_ok_and(|found| found.is_dir()) {
        return Ok(());
    }
    fs::create_dir_all("../s/fs/cgroup/memory")?;
    for file in ["memory.max", "memory/memory.limit_in_bytes"] {
        fs::write(format!("../s/fs/cgroup/{file}"), format!("{limit}\n"))?;
    }
    sys::mount("../s", "sys", "", libc::MS_BIND, "")?;
    sys::make_read_only("sys")
}

/// Shows a folder of the host through an overlay, whose files are the box's own to
/// lock and to watch: the host's files know nothing of it. Where an overlay would not
/// show the whole, or cannot be had, it is the folder itself.
fn show(folder: &str, target: &str, sights: &Sights) -> io::Result<()> {
    // Two folders make an overlay that nothing is written to.
    let through = format!("lowerdir={folder}:../e");
    if !sights.has_mounts_below(folder) && sys::mount("overlay", target, "overlay", 0, &through).is_ok() {
        return Ok(());
    }
    sys::mount(folder, target, "", libc::MS_BIND | libc::MS_REC, "")
}

/// Copies files with their modes, folders and links.
fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            fs::create_dir(&target)?;
            copy_tree(&source, &target)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&source)?, &target)?;
        } else if kind.is_file() {
            fs::copy(&source, &target)?;
        }
    }
    Ok(())
}

/// Limits that are every box's.
fn set_common_limits(shares_user: bool) -> io::Result<()> {
    sys::set_limit(libc::RLIMIT_CORE, 0)?;
    sys::set_limit(libc::RLIMIT_SIGPENDING, PENDING)?;
    if shares_user {
        sys::set_limit(libc::RLIMIT_MSGQUEUE, SHARED_QUEUES)?;
    }
    sys::set_limit(libc::RLIMIT_MEMLOCK, 8 << 20)
}

fn set_limits(spec: &BoxSpec, common: &Common) -> io::Result<()> {
    let limits = &spec.limits;
    // A little above the disk, so that a full disk is ENOSPC and not a signal;
    // it also bounds files in memory that no folder shows.
    sys::set_limit(libc::RLIMIT_FSIZE, limits.disk_bytes + (1 << 20))?;
    // The kernel holds descriptors on their way against this limit of whoever sends
    // some: below that of the host and the keeper, a box cannot stop these.
    let most = (sys::hard_limit(libc::RLIMIT_NOFILE)? / 2).min(65_536);
    let share = (common.files / SHARE_OF_FILES / limits.processes.max(1)).max(FEWEST_FILES);
    sys::set_limit(libc::RLIMIT_NOFILE, most.min(share))?;
    // A signal that names the limit first, then one that cannot be caught.
    let seconds = limits.cpu_time.as_secs().max(1);
    sys::set_limits(libc::RLIMIT_CPU, seconds, seconds + 5)?;
    if common.memory != Memory::Counted {
        // Counted in this user namespace, so that boxes do not use up each other's share.
        sys::set_limit(libc::RLIMIT_NPROC, limits.processes)?;
        // One process can allocate faster than the watchdog looks.
        sys::set_limit(libc::RLIMIT_DATA, limits.memory_bytes)?;
    }
    Ok(())
}

/// Out of reach for this process's children, whatever they execute.
fn drop_unwanted_capabilities() {
    // The kernel refuses the first number it does not know.
    let mut unwanted = (0..64).filter(|c| !KEPT_CAPABILITIES.contains(c));
    let _ = unwanted.try_for_each(|c| sys::prctl(libc::PR_CAPBSET_DROP, c_ulong::from(c)));
}

/// This process's own, once nothing is left to mount.
fn keep_capabilities() -> io::Result<()> {
    let kept = KEPT_CAPABILITIES.iter().fold(0u32, |set, c| set | 1 << c);
    let header: [u32; 2] = [0x2008_0522, 0];
    let sets: [u32; 6] = [kept, kept, 0, 0, 0, 0];
    // SAFETY: version 3 of the interface: a header and two triples of masks.
    let result = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
