//! System calls that no test suite needs and that widen the kernel's face.
//!
//! Covered: tracing and memory of other processes, mounts and namespaces,
//! kernel modules and images, keys, BPF, io_uring, clocks, swap. The calls
//! fail with EPERM (ENOSYS for clone3, so that the C library falls back to
//! clone, whose flags the filter can read). Not covered: what the user namespace
//! and dropped capabilities refuse already.

use std::io;

use libc::{
    BPF_ABS, BPF_JEQ, BPF_JGE, BPF_JGT, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W, sock_filter,
};

const REFUSED: [libc::c_long; 39] = [
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_open_by_handle_at,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_acct,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_quotactl,
    libc::SYS_memfd_secret,
];

/// Calls that are told apart one by one.
const GROUP: usize = 6;

/// How a box's memory is held to its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Memory {
    /// By a control group, whatever it is.
    Counted,
    /// By the watchdog, which sees what processes have mapped. Memory that lives on
    /// unmapped is refused: files without a folder, shared memory without a file.
    Watched,
    /// The same, where System V's shared memory cannot be bounded either.
    WatchedWithoutShared,
}

/// Families of sockets that stay within the box's own network. Others are shared
/// with the machine (`AF_VSOCK`) or reach into the kernel.
const FAMILIES: [libc::c_int; 4] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// Flags of `clone` that make a namespace.
const NAMESPACE_FLAGS: libc::c_int = libc::CLONE_NEWUSER
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWCGROUP;

/// The kernel's name of this processor (`AUDIT_ARCH_*`).
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
/// The kernel's name of this processor (`AUDIT_ARCH_*`).
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// The first number of x32 calls on x86-64, a second way to every call.
const SECOND_TABLE: u32 = 0x4000_0000;

/// The newest call that was looked at (`mseal`); numbers from 424 on are the same on
/// all processors. A kernel's newer ones are not there: programs ask, and do without.
const NEWEST: u32 = 462;

/// The program to install, ready for `prctl`. Written out by hand: it is
/// translated to machine code for every box, and a generator's output takes a
/// tenth of a box's whole start.
pub(super) fn filter(memory: Memory) -> Vec<sock_filter> {
    // Offsets in the kernel's `seccomp_data`: number 0, architecture 4, arguments from
    // 16 on, 8 each.
    let load = |offset: u32| step(BPF_LD | BPF_W | BPF_ABS, 0, 0, offset);
    let jump = |kind: u32, value: u32, yes: usize, no: usize| step(BPF_JMP | kind | BPF_K, yes, no, value);
    let answer = |action: u32| step(BPF_RET | BPF_K, 0, 0, action);
    let refuse = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    let absent = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
    let mut program = vec![
        load(4),
        jump(BPF_JEQ, ARCHITECTURE, 1, 0),
        answer(libc::SECCOMP_RET_KILL_PROCESS),
        load(0),
        jump(BPF_JGE, SECOND_TABLE, 0, 1),
        answer(refuse),
        jump(BPF_JGT, NEWEST, 0, 1),
        answer(absent),
        jump(BPF_JEQ, libc::SYS_clone3 as u32, 0, 1),
        answer(absent),
        jump(BPF_JEQ, libc::SYS_clone as u32, 0, 4),
        load(16),
        jump(BPF_JSET, NAMESPACE_FLAGS as u32, 0, 1),
        answer(refuse),
        answer(libc::SECCOMP_RET_ALLOW),
        // The machine has a fixed number of these, and programs do without.
        jump(BPF_JEQ, libc::SYS_io_setup as u32, 0, 1),
        answer(absent),
        jump(BPF_JEQ, libc::SYS_socket as u32, 0, FAMILIES.len() + 3),
        load(16),
    ];
    for (i, family) in FAMILIES.iter().enumerate() {
        program.push(jump(BPF_JEQ, *family as u32, FAMILIES.len() - i, 0));
    }
    program.push(answer(libc::SECCOMP_RET_ERRNO | libc::EAFNOSUPPORT as u32));
    program.push(answer(libc::SECCOMP_RET_ALLOW));
    if memory != Memory::Counted {
        let none_left = libc::SECCOMP_RET_ERRNO | libc::ENOMEM as u32;
        program.extend([
            jump(BPF_JEQ, libc::SYS_memfd_create as u32, 0, 1),
            answer(absent),
            jump(BPF_JEQ, libc::SYS_mmap as u32, 0, 5),
            load(16 + 3 * 8),
            jump(BPF_JSET, libc::MAP_SHARED as u32, 0, 2),
            jump(BPF_JSET, libc::MAP_ANONYMOUS as u32, 0, 1),
            answer(none_left),
            answer(libc::SECCOMP_RET_ALLOW),
        ]);
    }
    if memory == Memory::WatchedWithoutShared {
        program.extend([jump(BPF_JEQ, libc::SYS_shmget as u32, 0, 1), answer(absent)]);
    }
    // When a filter is installed, the kernel runs it for every call there is: each goes
    // through the few lines of its own group alone.
    let mut refused = REFUSED;
    refused.sort_unstable();
    for group in refused.chunks(GROUP) {
        // Over the group, "allow" and "refuse".
        program.push(jump(BPF_JGT, group[group.len() - 1] as u32, group.len() + 2, 0));
        for (i, call) in group.iter().enumerate() {
            // Over the rest of the group and "allow".
            program.push(jump(BPF_JEQ, *call as u32, group.len() - i, 0));
        }
        program.push(answer(libc::SECCOMP_RET_ALLOW));
        program.push(answer(refuse));
    }
    program.push(answer(libc::SECCOMP_RET_ALLOW));
    program
}

fn step(code: u32, yes: usize, no: usize, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: yes as u8, jf: no as u8, k }
}

/// Installs a program on this process and everything it starts.
pub(super) fn install(program: &[sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
    // SAFETY: the program outlives the call; the kernel copies it.
    crate::sys::check(unsafe {
        libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program)
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would answer to a call without arguments.
    fn judge(program: &[sock_filter], call: u32) -> u32 {
        let (mut at, mut value) = (0, 0);
        loop {
            let line = &program[at];
            let (kind, k) = (u32::from(line.code), line.k);
            at += 1;
            let holds = match kind & !(BPF_JMP | BPF_K) {
                _ if kind == BPF_LD | BPF_W | BPF_ABS => {
                    value = [call, ARCHITECTURE].get(k as usize / 4).copied().unwrap_or(0);
                    continue;
                }
                _ if kind == BPF_RET | BPF_K => return k,
                BPF_JEQ => value == k,
                BPF_JGE => value >= k,
                BPF_JGT => value > k,
                BPF_JSET => value & k != 0,
                other => panic!("nobody wrote {other}"),
            };
            at += usize::from(if holds { line.jt } else { line.jf });
        }
    }

    #[test]
    fn each_refused_call_is_refused_and_no_other() {
        for memory in [Memory::Counted, Memory::Watched, Memory::WatchedWithoutShared] {
            let program = filter(memory);
            for call in 0..600 {
                let refused = REFUSED.contains(&libc::c_long::from(call));
                let answer = judge(&program, call as u32);
                let expected = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
                assert_eq!(answer == expected, refused, "call {call} where memory is {memory:?}");
            }
            let absent = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
            let newer = [NEWEST + 1, 467, 600].map(|call| judge(&program, call));
            assert_eq!(newer, [absent; 3]);
        }
    }
}
