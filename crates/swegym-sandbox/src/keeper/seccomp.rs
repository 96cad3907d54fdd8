//! System calls that no test suite needs and that widen the kernel's face.
//!
//! Covered: tracing and memory of other processes, mounts and namespaces,
//! kernel modules and images, keys, BPF, io_uring, clocks, swap. The calls
//! fail with EPERM (ENOSYS for clone3, so that the C library falls back to
//! clone, whose flags the filter can read). Not covered: what the user namespace
//! and dropped capabilities refuse already.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

const REFUSED: &[libc::c_long] = &[
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
];

/// The program to install, ready for `prctl`.
pub(super) fn filter() -> io::Result<Vec<libc::sock_filter>> {
    let other = |e: &dyn std::fmt::Display| io::Error::other(e.to_string());
    let arch = std::env::consts::ARCH.try_into().map_err(|e| other(&e))?;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = REFUSED.iter().map(|call| (*call, vec![])).collect();
    rules.insert(libc::SYS_clone, namespace_flags().map_err(|e| other(&e))?);
    let compile = |rules, action| -> io::Result<BpfProgram> {
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, arch).map_err(|e| other(&e))?;
        filter.try_into().map_err(|e| other(&e))
    };
    let refuse = compile(rules, SeccompAction::Errno(libc::EPERM as u32))?;
    Ok(refuse.iter().map(|i| libc::sock_filter { code: i.code, jt: i.jt, jf: i.jf, k: i.k }).collect())
}

/// `clone` with any flag that makes a namespace.
fn namespace_flags() -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let flags = [
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWNS,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWNET,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWCGROUP,
    ];
    let rule = |flag: libc::c_int| {
        let flag = u64::from(flag as u32);
        let condition =
            SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(flag), flag)?;
        SeccompRule::new(vec![condition])
    };
    flags.into_iter().map(rule).collect()
}

/// Refuses `clone3`, whose flags lie behind a pointer, as not implemented.
pub(super) fn clone3_filter() -> io::Result<Vec<libc::sock_filter>> {
    let other = |e: &dyn std::fmt::Display| io::Error::other(e.to_string());
    let arch = std::env::consts::ARCH.try_into().map_err(|e| other(&e))?;
    let rules = BTreeMap::from([(libc::SYS_clone3, vec![])]);
    let action = SeccompAction::Errno(libc::ENOSYS as u32);
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, arch).map_err(|e| other(&e))?;
    let program: BpfProgram = filter.try_into().map_err(|e| other(&e))?;
    Ok(program.iter().map(|i| libc::sock_filter { code: i.code, jt: i.jt, jf: i.jf, k: i.k }).collect())
}

/// Installs a program on this process and everything it starts.
pub(super) fn install(program: &[libc::sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
    // SAFETY: the program outlives the call; the kernel copies it.
    crate::sys::check(unsafe {
        libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program)
    })?;
    Ok(())
}
