//! Thin wrappers over the system calls that the standard library does not have.
//! Each returns `io::Error`; none of them allocates behind the caller's back in
//! a way that matters after a fork (the keeper is single-threaded).

mod mounts;
mod users;

use std::ffi::{CStr, CString, c_int, c_long};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::time::Duration;

pub(crate) use mounts::{
    attach_mount, clone_mount_for, make_read_only, mount, pivot_to_working_folder, unmount,
};
pub(crate) use users::{act_as, lock_byte, user_map};

/// Turns -1 into the last error.
pub(crate) fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn check_long(result: c_long) -> io::Result<c_long> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

pub(crate) fn cstring(text: impl Into<Vec<u8>>) -> io::Result<CString> {
    CString::new(text)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "NUL byte in a path or an argument"))
}

/// A new process in new namespaces. Returns its id in the parent, `None` in the child.
///
/// # Safety
/// The caller must be single-threaded: the child goes on in a copy of it.
pub(crate) unsafe fn clone_into_namespaces(flags: c_int) -> io::Result<Option<libc::pid_t>> {
    #[repr(C)]
    #[derive(Default)]
    struct CloneArgs {
        flags: u64,
        pidfd: u64,
        child_tid: u64,
        parent_tid: u64,
        exit_signal: u64,
        stack: u64,
        stack_size: u64,
        tls: u64,
        set_tid: u64,
        set_tid_size: u64,
        cgroup: u64,
    }
    let args =
        CloneArgs { flags: flags as u32 as u64, exit_signal: libc::SIGCHLD as u64, ..Default::default() };
    // SAFETY: the struct is the kernel's `clone_args`; no stack is given, so the child runs on a copy.
    let pid =
        check_long(unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) })?;
    Ok(if pid == 0 { None } else { Some(pid as libc::pid_t) })
}

/// Cores that a process may run on.
pub(crate) struct Cores(libc::cpu_set_t);

impl Cores {
    /// This process's.
    pub(crate) fn allowed() -> io::Result<Self> {
        // SAFETY: a zeroed set is an empty one, and a valid out-value of its size.
        unsafe {
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            check(libc::sched_getaffinity(0, size_of_val(&set), &raw mut set))?;
            Ok(Self(set))
        }
    }

    /// Keeps this process and what it starts to them.
    pub(crate) fn use_them(&self) -> io::Result<()> {
        // SAFETY: a valid set of the given size.
        unsafe { check(libc::sched_setaffinity(0, size_of_val(&self.0), &raw const self.0)).map(drop) }
    }

    /// All but the one that this process is on; nothing if it is the only one.
    pub(crate) fn others(&self) -> Option<Self> {
        // SAFETY: a plain system call, and set operations within bounds.
        unsafe {
            let here = usize::try_from(libc::sched_getcpu()).ok()?;
            let mut set = self.0;
            libc::CPU_CLR(here, &mut set);
            (libc::CPU_COUNT(&set) > 0).then_some(Self(set))
        }
    }
}

/// How long the scheduler lets this process run before others that wait; short
/// slices go before long ones. Kernels before 6.12 have one for all.
pub(crate) fn set_time_slice(slice: Option<Duration>) -> io::Result<()> {
    #[repr(C)]
    #[derive(Default)]
    struct Attributes {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime: u64,
        deadline: u64,
        period: u64,
    }
    let mut now = Attributes::default();
    let size = size_of::<Attributes>();
    // SAFETY: the kernel's `sched_attr` in its first version, valid for its size.
    unsafe {
        check_long(libc::syscall(libc::SYS_sched_getattr, 0, &raw mut now, size, 0))?;
        now.runtime = slice.map_or(0, |s| s.as_nanos() as u64);
        check_long(libc::syscall(libc::SYS_sched_setattr, 0, &raw const now, 0))?;
    }
    Ok(())
}

/// Makes an open folder the working folder.
pub(crate) fn change_folder(folder: &OwnedFd) -> io::Result<()> {
    // SAFETY: plain system call.
    unsafe { check(libc::fchdir(folder.as_raw_fd())).map(drop) }
}

/// Moves this process to new namespaces.
pub(crate) fn make_namespaces(flags: c_int) -> io::Result<()> {
    // SAFETY: a plain system call.
    unsafe { check(libc::unshare(flags)).map(drop) }
}

/// `prctl(2)` with one argument.
pub(crate) fn prctl(option: c_int, value: libc::c_ulong) -> io::Result<()> {
    // SAFETY: only options with an integer argument are passed by this crate.
    check(unsafe { libc::prctl(option, value, 0, 0, 0) })?;
    Ok(())
}

/// Marks the loopback interface of this network namespace as up.
pub(crate) fn bring_loopback_up() -> io::Result<()> {
    // SAFETY: a zeroed ifreq with the name `lo` is what SIOCSIFFLAGS takes.
    unsafe {
        let socket = OwnedFd::from_raw_fd(check(libc::socket(
            libc::AF_INET,
            libc::SOCK_DGRAM | libc::SOCK_CLOEXEC,
            0,
        ))?);
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as _;
        request.ifr_name[1] = b'o' as _;
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as _;
        check(libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request))?;
    }
    Ok(())
}

/// How far a limit may be raised.
pub(crate) fn hard_limit(resource: libc::__rlimit_resource_t) -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid rlimit.
    check(unsafe { libc::getrlimit(resource, &raw mut limit) })?;
    Ok(limit.rlim_max)
}

/// Sets a limit, never above what the hard limit allows.
pub(crate) fn set_limit(resource: libc::__rlimit_resource_t, value: u64) -> io::Result<()> {
    set_limits(resource, value, value)
}

/// Sets a soft and a hard limit, never above what the hard limit allows.
pub(crate) fn set_limits(resource: libc::__rlimit_resource_t, soft: u64, hard: u64) -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid rlimit.
    unsafe {
        check(libc::getrlimit(resource, &raw mut limit))?;
        let hard = hard.min(limit.rlim_max);
        limit = libc::rlimit { rlim_cur: soft.min(hard), rlim_max: hard };
        check(libc::setrlimit(resource, &raw const limit))?;
    }
    Ok(())
}

/// A pair of connected sockets of this type, closed on exec.
pub(crate) fn socket_pair(kind: c_int) -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: on success both descriptors are new and ours.
    unsafe {
        check(libc::socketpair(libc::AF_UNIX, kind | libc::SOCK_CLOEXEC, 0, fds.as_mut_ptr()))?;
        Ok((OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])))
    }
}

/// A pipe, closed on exec: (read end, write end).
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: on success both descriptors are new and ours.
    unsafe {
        check(libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC))?;
        Ok((OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])))
    }
}

pub(crate) fn set_nonblocking(fd: RawFd) -> io::Result<()> {
    // SAFETY: plain flag changes on a descriptor.
    unsafe {
        let flags = check(libc::fcntl(fd, libc::F_GETFL))?;
        check(libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK))?;
    }
    Ok(())
}

/// `read(2)`.
pub(crate) fn read(fd: RawFd, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the buffer is valid for its length.
    let n = unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) };
    if n < 0 { Err(io::Error::last_os_error()) } else { Ok(n as usize) }
}

/// How many bytes lie in a pipe; none where it does not say.
pub(crate) fn bytes_in_pipe(fd: RawFd) -> usize {
    let mut count: c_int = 0;
    // SAFETY: the kernel writes one int.
    let asked = unsafe { libc::ioctl(fd, libc::FIONREAD, &raw mut count) };
    if asked < 0 { 0 } else { usize::try_from(count).unwrap_or(0) }
}

/// `write(2)`.
pub(crate) fn write(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: the buffer is valid for its length.
    let n = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
    if n < 0 { Err(io::Error::last_os_error()) } else { Ok(n as usize) }
}

/// Sends what a socket has room for; no signal if nobody listens.
pub(crate) fn send(socket: RawFd, bytes: &[u8]) -> io::Result<usize> {
    // SAFETY: the buffer is valid for its length.
    let n = unsafe { libc::send(socket, bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) };
    if n < 0 { Err(io::Error::last_os_error()) } else { Ok(n as usize) }
}

/// Writes everything, waiting where a descriptor is non-blocking.
pub(crate) fn write_all(fd: RawFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let error = match write(fd, bytes) {
            Ok(n) => {
                bytes = &bytes[n..];
                continue;
            }
            Err(error) => error,
        };
        match error.kind() {
            io::ErrorKind::Interrupted => {}
            io::ErrorKind::WouldBlock => {
                let mut fds = [pollfd(fd, libc::POLLOUT)];
                poll(&mut fds, None)?;
            }
            _ => return Err(error),
        }
    }
    Ok(())
}

pub(crate) fn pollfd(fd: RawFd, events: i16) -> libc::pollfd {
    libc::pollfd { fd, events, revents: 0 }
}

/// `ppoll(2)`; a signal counts as nothing ready, and no timeout as forever.
pub(crate) fn poll(fds: &mut [libc::pollfd], timeout: Option<Duration>) -> io::Result<()> {
    let timeout = timeout
        .map(|t| libc::timespec { tv_sec: t.as_secs() as libc::time_t, tv_nsec: t.subsec_nanos().into() });
    let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the slice is valid for its length; the time is a local that outlives the call.
    match check(unsafe {
        libc::ppoll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, timeout, std::ptr::null())
    }) {
        Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
        _ => Ok(()),
    }
}

/// Whether the last poll has something to say about a descriptor.
pub(crate) fn is_ready(polled: &[libc::pollfd], fd: RawFd) -> bool {
    polled.iter().any(|p| p.fd == fd && p.revents != 0)
}

/// Sends bytes and at most one descriptor over a Unix socket.
pub(crate) fn send_with_fd(socket: RawFd, bytes: &[u8], fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
    // SAFETY: the message points at local buffers that outlive the call; the
    // control buffer is large and aligned enough for one descriptor.
    unsafe {
        let mut iov = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        let mut control = [0u64; 4];
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut iov;
        message.msg_iovlen = 1;
        if let Some(fd) = fd {
            message.msg_control = control.as_mut_ptr().cast();
            message.msg_controllen = libc::CMSG_SPACE(4) as _;
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(4) as _;
            libc::CMSG_DATA(header).cast::<c_int>().write_unaligned(fd.as_raw_fd());
        }
        loop {
            if libc::sendmsg(socket, &raw const message, libc::MSG_NOSIGNAL) >= 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            match error.kind() {
                io::ErrorKind::Interrupted => {}
                io::ErrorKind::WouldBlock => poll(&mut [pollfd(socket, libc::POLLOUT)], None)?,
                _ => return Err(error),
            }
        }
    }
}

/// Receives bytes and at most one descriptor. Zero bytes mean the end.
pub(crate) fn receive_with_fd(socket: RawFd, buffer: &mut [u8]) -> io::Result<(usize, Option<OwnedFd>)> {
    // SAFETY: as in `send_with_fd`; a received descriptor is new and ours.
    unsafe {
        let mut iov = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
        let mut control = [0u64; 4];
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut iov;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast();
        message.msg_controllen = size_of_val(&control) as _;
        let n = libc::recvmsg(socket, &raw mut message, libc::MSG_CMSG_CLOEXEC);
        if n < 0 {
            return Err(io::Error::last_os_error());
        }
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        let fd = (!header.is_null() && (*header).cmsg_type == libc::SCM_RIGHTS)
            .then(|| OwnedFd::from_raw_fd(libc::CMSG_DATA(header).cast::<c_int>().read_unaligned()));
        Ok((n as usize, fd))
    }
}

/// Blocks the given signals and gives a descriptor that reads them.
pub(crate) fn signal_fd(signals: &[c_int]) -> io::Result<OwnedFd> {
    // SAFETY: a local signal set; the descriptor is new and ours.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for signal in signals {
            libc::sigaddset(&raw mut set, *signal);
        }
        check(libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()))?;
        let fd = check(libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Undoes the blocking of [`signal_fd`] and the ignoring of Rust's runtime, for a program about to start.
pub(crate) fn reset_signals() {
    // SAFETY: resetting dispositions and the mask of this thread.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut());
        for signal in [libc::SIGPIPE, libc::SIGINT, libc::SIGTERM, libc::SIGHUP, libc::SIGQUIT] {
            libc::signal(signal, libc::SIG_DFL);
        }
    }
}

/// A dead child and what it used.
pub(crate) struct Reaped {
    pub(crate) pid: libc::pid_t,
    pub(crate) status: c_int,
    pub(crate) cpu_us: u64,
    pub(crate) max_rss_kb: u64,
}

/// Takes one dead child without waiting.
pub(crate) fn reap() -> Option<Reaped> {
    let mut status = 0;
    // SAFETY: valid out-pointers.
    let (pid, usage) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        (libc::wait4(-1, &raw mut status, libc::WNOHANG, &raw mut usage), usage)
    };
    let us = |t: libc::timeval| t.tv_sec as u64 * 1_000_000 + t.tv_usec as u64;
    (pid > 0).then(|| Reaped {
        pid,
        status,
        cpu_us: us(usage.ru_utime) + us(usage.ru_stime),
        max_rss_kb: usage.ru_maxrss as u64,
    })
}

/// Forks this single-threaded process: `None` in the child.
///
/// # Safety
/// The caller must be single-threaded.
pub(crate) unsafe fn fork() -> io::Result<Option<libc::pid_t>> {
    // SAFETY: upheld by the caller.
    let pid = check(unsafe { libc::fork() })?;
    Ok((pid != 0).then_some(pid))
}

fn pointers(list: &[CString]) -> Vec<*mut libc::c_char> {
    list.iter().map(|c| c.as_ptr().cast_mut()).chain([std::ptr::null_mut()]).collect()
}

/// Whether nothing is at a path; not when one may not look.
pub(crate) fn is_absent(path: &CStr) -> bool {
    // SAFETY: a terminated string.
    check(unsafe { libc::access(path.as_ptr(), libc::F_OK) }).is_err_and(|error| says_absent(&error))
}

/// Whether a call failed because there is no such file.
pub(crate) fn says_absent(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR))
}

/// Starts a program as the head of a new session, in
/// this folder and with these descriptors, as 0, 1 and so on. Unlike a fork it copies no memory; an error is that of the
/// folder or of `execve`.
pub(crate) fn spawn(
    path: &CStr,
    argv: &[CString],
    env: &[CString],
    cwd: &CStr,
    given: &[RawFd],
) -> io::Result<libc::pid_t> {
    /// Undoes both initialisations on every way out.
    struct Plan(libc::posix_spawn_file_actions_t, libc::posix_spawnattr_t);
    impl Drop for Plan {
        fn drop(&mut self) {
            // SAFETY: both were initialised.
            unsafe {
                libc::posix_spawn_file_actions_destroy(&raw mut self.0);
                libc::posix_spawnattr_destroy(&raw mut self.1);
            }
        }
    }
    let ok = |code: c_int| if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) };
    // SAFETY: the structures are initialised before use and every pointer
    // outlives the call; all other descriptors are closed on exec.
    unsafe {
        let mut plan = Plan(std::mem::zeroed(), std::mem::zeroed());
        ok(libc::posix_spawn_file_actions_init(&raw mut plan.0))?;
        ok(libc::posix_spawnattr_init(&raw mut plan.1))?;
        for (to, from) in given.iter().enumerate() {
            ok(libc::posix_spawn_file_actions_adddup2(&raw mut plan.0, *from, to as c_int))?;
        }
        ok(libc::posix_spawn_file_actions_addchdir_np(&raw mut plan.0, cwd.as_ptr()))?;
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        ok(libc::posix_spawnattr_setsigmask(&raw mut plan.1, &raw const set))?;
        // Each is a system call, and nobody ignores the real-time ones.
        for signal in 1..=libc::SIGSYS {
            libc::sigaddset(&raw mut set, signal);
        }
        ok(libc::posix_spawnattr_setsigdefault(&raw mut plan.1, &raw const set))?;
        let signals = libc::POSIX_SPAWN_SETSIGMASK | libc::POSIX_SPAWN_SETSIGDEF;
        let flags = libc::POSIX_SPAWN_SETSID | signals as libc::c_short;
        ok(libc::posix_spawnattr_setflags(&raw mut plan.1, flags))?;
        let (argv, env) = (pointers(argv), pointers(env));
        let mut pid = 0;
        let (actions, attributes) = (&raw const plan.0, &raw const plan.1);
        ok(libc::posix_spawn(&raw mut pid, path.as_ptr(), actions, attributes, argv.as_ptr(), env.as_ptr()))?;
        Ok(pid)
    }
}

/// Becomes a program, in a child that was prepared for it.
pub(crate) fn exec(path: &CStr, argv: &[CString], env: &[CString]) -> io::Error {
    let (argv, env) = (pointers(argv), pointers(env));
    // SAFETY: NUL-terminated strings in null-terminated lists.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr().cast(), env.as_ptr().cast()) };
    io::Error::last_os_error()
}

/// Sends a signal; true if there was somebody to receive it.
pub(crate) fn kill(pid: libc::pid_t, signal: c_int) -> bool {
    // SAFETY: plain system call.
    unsafe { libc::kill(pid, signal) == 0 }
}

/// A file in memory that no folder shows; where boxes may have none, one in the
/// box's own `/tmp`.
pub(crate) fn memory_file(name: &CStr) -> io::Result<OwnedFd> {
    // SAFETY: terminated names; the descriptor is new and ours.
    unsafe {
        let file = match check(libc::memfd_create(name.as_ptr(), libc::MFD_CLOEXEC)) {
            Err(error) if error.raw_os_error() == Some(libc::ENOSYS) => {
                let flags = libc::O_TMPFILE | libc::O_RDWR | libc::O_CLOEXEC;
                check(libc::open(c"/tmp".as_ptr(), flags, 0o600))?
            }
            made => made?,
        };
        Ok(OwnedFd::from_raw_fd(file))
    }
}

/// Ends this process without running destructors.
pub(crate) fn exit_now(code: c_int) -> ! {
    // SAFETY: does not return.
    unsafe { libc::_exit(code) }
}

/// User and group that this process acts as.
pub(crate) fn effective_ids() -> (u32, u32) {
    // SAFETY: these calls cannot fail.
    unsafe { (libc::geteuid(), libc::getegid()) }
}

/// Whether this process is root over more than itself: in a user namespace of
/// one user ("root" of a rootless container), other users do not exist.
pub(crate) fn is_root_over(user: u32) -> bool {
    let covers = |file: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        text.lines().any(|line| {
            let mut numbers = line.split_whitespace().map(|n| n.parse::<u64>().unwrap_or(0));
            let (first, _, count) = (numbers.next(), numbers.next(), numbers.next());
            first.zip(count).is_some_and(|(first, count)| (first..first + count).contains(&u64::from(user)))
        })
    };
    effective_ids().0 == 0 && covers("/proc/self/uid_map") && covers("/proc/self/gid_map")
}

/// Lets the allocator give memory back as soon as it is free, here and in forks.
pub(crate) fn hold_little_memory() {
    // SAFETY: settings of the allocator alone.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 16 << 10);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 16 << 10);
        libc::mallopt(libc::M_TOP_PAD, 4 << 10);
    }
}

/// Gives every page back to the system that the allocator has no use for now.
pub(crate) fn give_memory_back() {
    // SAFETY: a plain call of the allocator.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}
