//! Frames between host, keeper and supervisor: a length, a kind, plain fields.
//!
//! Both ends are the same binary, so there is no version; the side inside a
//! box is still treated as hostile when read.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;

use crate::limits::{LimitHit, Limits};
use crate::output::{Keep, Stream};
use crate::sandbox::{DirEntry, EntryKind, Written};

/// Longest frame that is accepted, in bytes.
pub(crate) const MAX_FRAME: usize = 8 << 20;
/// Stands for "the mode that the file has".
pub(crate) const KEEP_MODE: u32 = u32::MAX;
/// Longest run of bytes put into one frame.
pub(crate) const PIECE: usize = 256 << 10;
/// Bytes of a snapshot that are under way before the host says that it took them.
pub(crate) const WINDOW: usize = 4 << 20;

/// Builds a frame's payload.
#[derive(Default)]
pub(crate) struct Put(pub(crate) Vec<u8>);

impl Put {
    pub(crate) fn u8(mut self, v: u8) -> Self {
        self.0.push(v);
        self
    }
    pub(crate) fn u32(mut self, v: u32) -> Self {
        self.0.extend(v.to_le_bytes());
        self
    }
    pub(crate) fn u64(mut self, v: u64) -> Self {
        self.0.extend(v.to_le_bytes());
        self
    }
    pub(crate) fn bytes(mut self, v: &[u8]) -> Self {
        self.0.extend((v.len() as u32).to_le_bytes());
        self.0.extend_from_slice(v);
        self
    }
    pub(crate) fn list<'a>(mut self, items: impl ExactSizeIterator<Item = &'a [u8]>) -> Self {
        self = self.u32(items.len() as u32);
        for item in items {
            self = self.bytes(item);
        }
        self
    }
    /// The payload with its length in front.
    pub(crate) fn frame(self) -> Vec<u8> {
        let mut frame = (self.0.len() as u32).to_le_bytes().to_vec();
        frame.extend(self.0);
        frame
    }
}

/// Takes a payload apart; every step can fail on a short one.
pub(crate) struct Get<'a>(pub(crate) &'a [u8]);

fn short() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "short frame")
}

impl<'a> Get<'a> {
    fn cut(&mut self, n: usize) -> io::Result<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n).ok_or_else(short)?;
        self.0 = rest;
        Ok(head)
    }
    pub(crate) fn u8(&mut self) -> io::Result<u8> {
        Ok(self.cut(1)?[0])
    }
    pub(crate) fn u32(&mut self) -> io::Result<u32> {
        Ok(u32::from_le_bytes(self.cut(4)?.try_into().map_err(|_| short())?))
    }
    pub(crate) fn u64(&mut self) -> io::Result<u64> {
        Ok(u64::from_le_bytes(self.cut(8)?.try_into().map_err(|_| short())?))
    }
    pub(crate) fn bytes(&mut self) -> io::Result<&'a [u8]> {
        let n = self.u32()? as usize;
        self.cut(n)
    }
    pub(crate) fn text(&mut self) -> io::Result<String> {
        Ok(String::from_utf8_lossy(self.bytes()?).into_owned())
    }
    pub(crate) fn list(&mut self) -> io::Result<Vec<Vec<u8>>> {
        (0..self.u32()?).map(|_| Ok(self.bytes()?.to_vec())).collect()
    }
}

/// Host to supervisor. `job` names the answer's addressee.
#[derive(Debug, PartialEq)]
pub(crate) enum Request {
    Exec {
        job: u32,
        argv: Vec<Vec<u8>>,
        env: Vec<Vec<u8>>,
        cwd: Vec<u8>,
        stdin: Vec<u8>,
        timeout_ms: u64,
        keep: Keep,
        /// It is given a descriptor for results, of so many bytes.
        results: Option<u64>,
    },
    Session {
        job: u32,
        text: Vec<u8>,
        /// Whether it reads what is typed, or nothing.
        listens: bool,
        timeout_ms: u64,
        keep: Keep,
    },
    Read {
        job: u32,
        path: Vec<u8>,
        limit: u64,
    },
    Write {
        job: u32,
        path: Vec<u8>,
        mode: u32,
        bytes: Vec<u8>,
        append: bool,
    },
    List {
        job: u32,
        path: Vec<u8>,
    },
    /// Stops everything in the box, tells what it wrote, and lets it go on.
    Snapshot {
        job: u32,
        /// `/tmp` too.
        whole: bool,
        /// Bytes of files, counted by their lengths, beyond which it is refused.
        room: u64,
    },
    /// The host took half a [`WINDOW`] more of a snapshot.
    More {
        job: u32,
    },
    Written {
        job: u32,
    },
    /// Ends the session's command as its deadline would.
    Interrupt {
        job: u32,
    },
    /// Types to the session's command.
    Type {
        job: u32,
        text: Vec<u8>,
    },
}

/// Supervisor to host.
#[derive(Debug, PartialEq)]
pub(crate) enum Reply {
    /// The box stands. Carries a listening socket as a descriptor, where the host
    /// answers at a port of the box.
    Ready,
    /// A step of the set-up failed.
    Failed { step: String, errno: i32 },
    /// Kept output; `tail` once bytes may have been dropped.
    Chunk { job: u32, stream: Stream, tail: bool, bytes: Vec<u8> },
    /// What a command wrote to its descriptor for results.
    Results { job: u32, bytes: Vec<u8> },
    /// A command ended.
    Done {
        job: u32,
        end: Ended,
        limit: Option<LimitHit>,
        dropped: u64,
        cpu_us: u64,
        max_rss_kb: u64,
        folder: Vec<u8>,
    },
    /// A part of a file.
    Data { job: u32, bytes: Vec<u8>, last: bool },
    /// A folder.
    Listing { job: u32, entries: Vec<DirEntry> },
    /// What a snapshot holds at a path from its top. A file's bytes follow as
    /// [`Reply::Data`].
    Entry { job: u32, kind: EntryMark, path: Vec<u8>, link: Vec<u8> },
    /// Some of what the box wrote.
    Wrote { job: u32, entries: Vec<Written>, last: bool },
    /// A file operation or the start of a program succeeded (0) or failed.
    Status { job: u32, errno: i32 },
}

/// What stands at a name in a snapshot, by its letter in a layer's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryMark {
    Folder = b'd' as isize,
    Opaque = b'o' as isize,
    File = b'f' as isize,
    Executable = b'x' as isize,
    Link = b'l' as isize,
    Whiteout = b'w' as isize,
}

impl EntryMark {
    fn of(letter: u8) -> io::Result<Self> {
        let all = [Self::Folder, Self::Opaque, Self::File, Self::Executable, Self::Link, Self::Whiteout];
        all.into_iter().find(|mark| *mark as u8 == letter).ok_or_else(short)
    }
}

/// End of a command as numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Ended {
    Exited(i32),
    Signalled(i32),
    /// 1 interrupted, 2 killed, 3 respawned.
    TimedOut(i32),
}

fn put_keep(p: Put, keep: Keep) -> Put {
    p.u64(keep.head).u64(keep.tail).u64(keep.kill_after)
}

fn get_keep(g: &mut Get<'_>) -> io::Result<Keep> {
    Ok(Keep { head: g.u64()?, tail: g.u64()?, kill_after: g.u64()? })
}

fn get_kind(g: &mut Get<'_>) -> io::Result<EntryKind> {
    Ok(match g.u8()? {
        0 => EntryKind::File,
        1 => EntryKind::Folder,
        2 => EntryKind::Link,
        _ => EntryKind::Other,
    })
}

fn slices(items: &[Vec<u8>]) -> impl ExactSizeIterator<Item = &[u8]> {
    items.iter().map(Vec::as_slice)
}

impl Request {
    pub(crate) fn frame(&self) -> Vec<u8> {
        let p = Put::default();
        match self {
            Self::Exec { job, argv, env, cwd, stdin, timeout_ms, keep, results } => put_keep(
                p.u8(1)
                    .u32(*job)
                    .list(slices(argv))
                    .list(slices(env))
                    .bytes(cwd)
                    .bytes(stdin)
                    .u64(*timeout_ms),
                *keep,
            )
            .u8(u8::from(results.is_some()))
            .u64(results.unwrap_or_default()),
            Self::Session { job, text, listens, timeout_ms, keep } => {
                put_keep(p.u8(2).u32(*job).bytes(text).u8(u8::from(*listens)).u64(*timeout_ms), *keep)
            }
            Self::Read { job, path, limit } => p.u8(3).u32(*job).bytes(path).u64(*limit),
            Self::Write { job, path, mode, bytes, append } => {
                p.u8(4).u32(*job).bytes(path).u32(*mode).u8(u8::from(*append)).bytes(bytes)
            }
            Self::List { job, path } => p.u8(5).u32(*job).bytes(path),
            Self::Snapshot { job, whole, room } => p.u8(6).u32(*job).u8(u8::from(*whole)).u64(*room),
            Self::More { job } => p.u8(7).u32(*job),
            Self::Interrupt { job } => p.u8(8).u32(*job),
            Self::Type { job, text } => p.u8(9).u32(*job).bytes(text),
            Self::Written { job } => p.u8(10).u32(*job),
        }
        .frame()
    }

    pub(crate) fn parse(payload: &[u8]) -> io::Result<Self> {
        let g = &mut Get(payload);
        let (kind, job) = (g.u8()?, g.u32()?);
        Ok(match kind {
            1 => Self::Exec {
                job,
                argv: g.list()?,
                env: g.list()?,
                cwd: g.bytes()?.to_vec(),
                stdin: g.bytes()?.to_vec(),
                timeout_ms: g.u64()?,
                keep: get_keep(g)?,
                results: {
                    let (is_asked, limit) = (g.u8()? == 1, g.u64()?);
                    is_asked.then_some(limit)
                },
            },
            2 => Self::Session {
                job,
                text: g.bytes()?.to_vec(),
                listens: g.u8()? == 1,
                timeout_ms: g.u64()?,
                keep: get_keep(g)?,
            },
            3 => Self::Read { job, path: g.bytes()?.to_vec(), limit: g.u64()? },
            4 => {
                let (path, mode, append) = (g.bytes()?.to_vec(), g.u32()?, g.u8()? == 1);
                Self::Write { job, path, mode, bytes: g.bytes()?.to_vec(), append }
            }
            5 => Self::List { job, path: g.bytes()?.to_vec() },
            6 => Self::Snapshot { job, whole: g.u8()? == 1, room: g.u64()? },
            7 => Self::More { job },
            8 => Self::Interrupt { job },
            9 => Self::Type { job, text: g.bytes()?.to_vec() },
            10 => Self::Written { job },
            _ => return Err(short()),
        })
    }
}

impl Reply {
    pub(crate) fn frame(&self) -> Vec<u8> {
        let p = Put::default();
        match self {
            Self::Ready => p.u8(1),
            Self::Failed { step, errno } => p.u8(2).bytes(step.as_bytes()).u32(*errno as u32),
            Self::Chunk { job, stream, tail, bytes } => {
                p.u8(3).u32(*job).u8(u8::from(*stream == Stream::Stderr)).u8(u8::from(*tail)).bytes(bytes)
            }
            Self::Done { job, end, limit, dropped, cpu_us, max_rss_kb, folder } => {
                let (kind, value) = match end {
                    Ended::Exited(v) => (0, *v),
                    Ended::Signalled(v) => (1, *v),
                    Ended::TimedOut(v) => (2, *v),
                };
                let p = p.u8(4).u32(*job).u8(kind).u32(value as u32).u8(limit.map_or(0, LimitHit::code));
                p.u64(*dropped).u64(*cpu_us).u64(*max_rss_kb).bytes(folder)
            }
            Self::Data { job, bytes, last } => p.u8(5).u32(*job).u8(u8::from(*last)).bytes(bytes),
            Self::Listing { job, entries } => {
                let mut p = p.u8(6).u32(*job).u32(entries.len() as u32);
                for e in entries {
                    p = p.bytes(&e.name).u8(e.kind as u8).u64(e.size);
                }
                p
            }
            Self::Status { job, errno } => p.u8(7).u32(*job).u32(*errno as u32),
            Self::Entry { job, kind, path, link } => {
                p.u8(8).u32(*job).u8(*kind as u8).bytes(path).bytes(link)
            }
            Self::Wrote { job, entries, last } => {
                let mut p = p.u8(9).u32(*job).u8(u8::from(*last)).u32(entries.len() as u32);
                for e in entries {
                    let marks = u8::from(e.executable) | u8::from(e.replaces) << 1;
                    p = p.bytes(e.path.as_os_str().as_bytes()).u8(e.kind as u8).u8(marks);
                    p = p.u64(e.size).u64(e.stamp);
                }
                p
            }
            Self::Results { job, bytes } => p.u8(10).u32(*job).bytes(bytes),
        }
        .frame()
    }

    pub(crate) fn parse(payload: &[u8]) -> io::Result<Self> {
        let g = &mut Get(payload);
        let kind = g.u8()?;
        if kind == 1 {
            return Ok(Self::Ready);
        }
        if kind == 2 {
            return Ok(Self::Failed { step: g.text()?, errno: g.u32()? as i32 });
        }
        let job = g.u32()?;
        Ok(match kind {
            3 => {
                let stream = if g.u8()? == 1 { Stream::Stderr } else { Stream::Stdout };
                Self::Chunk { job, stream, tail: g.u8()? == 1, bytes: g.bytes()?.to_vec() }
            }
            4 => {
                let (kind, value) = (g.u8()?, g.u32()? as i32);
                let end = match kind {
                    0 => Ended::Exited(value),
                    1 => Ended::Signalled(value),
                    _ => Ended::TimedOut(value),
                };
                Self::Done {
                    job,
                    end,
                    limit: LimitHit::from_code(g.u8()?),
                    dropped: g.u64()?,
                    cpu_us: g.u64()?,
                    max_rss_kb: g.u64()?,
                    folder: g.bytes()?.to_vec(),
                }
            }
            5 => {
                let last = g.u8()? == 1;
                Self::Data { job, bytes: g.bytes()?.to_vec(), last }
            }
            6 => {
                let count = g.u32()?;
                let entry = |g: &mut Get<'_>| -> io::Result<DirEntry> {
                    Ok(DirEntry { name: g.bytes()?.to_vec(), kind: get_kind(g)?, size: g.u64()? })
                };
                Self::Listing { job, entries: (0..count).map(|_| entry(g)).collect::<io::Result<_>>()? }
            }
            7 => Self::Status { job, errno: g.u32()? as i32 },
            8 => {
                let kind = EntryMark::of(g.u8()?)?;
                Self::Entry { job, kind, path: g.bytes()?.to_vec(), link: g.bytes()?.to_vec() }
            }
            9 => {
                let (last, count) = (g.u8()? == 1, g.u32()?);
                let entry = |g: &mut Get<'_>| -> io::Result<Written> {
                    let path = OsStr::from_bytes(g.bytes()?).into();
                    let (kind, marks) = (get_kind(g)?, g.u8()?);
                    let (executable, replaces) = (marks & 1 != 0, marks & 2 != 0);
                    Ok(Written { path, kind, executable, replaces, size: g.u64()?, stamp: g.u64()? })
                };
                let entries = (0..count).map(|_| entry(g)).collect::<io::Result<_>>()?;
                Self::Wrote { job, entries, last }
            }
            10 => Self::Results { job, bytes: g.bytes()?.to_vec() },
            _ => return Err(short()),
        })
    }
}

/// What the keeper needs to make a box. Paths are relative to the swegym home
/// folder, which is the keeper's working folder.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BoxSpec {
    pub(crate) id: u64,
    /// Lower folders, topmost first.
    pub(crate) layers: Vec<String>,
    /// Host folders shown read-only at the same path.
    pub(crate) host_folders: Vec<String>,
    /// The port of the box's loopback at which the host answers.
    pub(crate) port: Option<u16>,
    pub(crate) limits: Limits,
    pub(crate) workdir: String,
    pub(crate) env: Vec<(String, String)>,
}

impl BoxSpec {
    /// Whether two boxes start from the same tree of files.
    pub(crate) fn has_same_root(&self, other: &Self) -> bool {
        self.layers == other.layers
            && self.host_folders == other.host_folders
            && self.limits.disk_bytes == other.limits.disk_bytes
            && self.limits.memory_bytes == other.limits.memory_bytes
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let strings = |p: Put, items: &[String]| p.list(items.iter().map(String::as_bytes));
        let mut p = Put::default().u8(1).u64(self.id);
        p = strings(p, &self.layers);
        p = strings(p, &self.host_folders);
        let l = &self.limits;
        p = p.u32(self.port.map_or(0, u32::from)).u64(l.memory_bytes).u64(l.disk_bytes).u64(l.processes);
        p = p.u64(l.cpu_cores.to_bits()).u64(l.cpu_time.as_secs());
        p = p.bytes(self.workdir.as_bytes()).u32(self.env.len() as u32);
        for (name, value) in &self.env {
            p = p.bytes(name.as_bytes()).bytes(value.as_bytes());
        }
        p.0
    }

    pub(crate) fn decode(payload: &[u8]) -> io::Result<Self> {
        let g = &mut Get(payload);
        let strings =
            |g: &mut Get<'_>| -> io::Result<Vec<String>> { (0..g.u32()?).map(|_| g.text()).collect() };
        g.u8()?;
        Ok(Self {
            id: g.u64()?,
            layers: strings(g)?,
            host_folders: strings(g)?,
            port: u16::try_from(g.u32()?).ok().filter(|port| *port != 0),
            limits: Limits {
                memory_bytes: g.u64()?,
                disk_bytes: g.u64()?,
                processes: g.u64()?,
                cpu_cores: f64::from_bits(g.u64()?),
                cpu_time: std::time::Duration::from_secs(g.u64()?),
                // The host's own business.
                ..Limits::default()
            },
            workdir: g.text()?,
            env: (0..g.u32()?).map(|_| Ok((g.text()?, g.text()?))).collect::<io::Result<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_back() {
        let keep = Keep { head: 1, tail: 2, kill_after: 3 };
        let requests = [
            Request::Exec {
                job: 1,
                argv: vec![b"a".to_vec(), vec![]],
                env: vec![],
                cwd: b"/".to_vec(),
                stdin: vec![0, 255],
                timeout_ms: 9,
                keep,
                results: Some(7),
            },
            Request::Session { job: 2, text: b"x".to_vec(), listens: true, timeout_ms: 1, keep },
            Request::Type { job: 4, text: b"y\n".to_vec() },
            Request::Snapshot { job: 5, whole: true, room: 9 },
            Request::Write { job: 3, path: b"p".to_vec(), mode: 0o644, bytes: vec![1], append: true },
        ];
        for request in requests {
            assert_eq!(Request::parse(&request.frame()[4..]).unwrap(), request);
        }
        let replies = [
            Reply::Chunk { job: 1, stream: Stream::Stderr, tail: true, bytes: vec![7] },
            Reply::Done {
                job: 1,
                end: Ended::Exited(-1),
                limit: Some(LimitHit::Disk),
                dropped: 1,
                cpu_us: 2,
                max_rss_kb: 3,
                folder: b"/x".to_vec(),
            },
            Reply::Results { job: 5, bytes: vec![b'x'] },
            Reply::Listing {
                job: 4,
                entries: vec![DirEntry { name: vec![0xff], kind: EntryKind::Link, size: 5 }],
            },
            Reply::Entry { job: 5, kind: EntryMark::Opaque, path: b"a/\xff".to_vec(), link: vec![] },
            Reply::Wrote {
                job: 6,
                entries: vec![Written {
                    path: "/a".into(),
                    kind: EntryKind::Folder,
                    executable: false,
                    replaces: true,
                    size: 8,
                    stamp: 7,
                }],
                last: true,
            },
        ];
        for reply in replies {
            assert_eq!(Reply::parse(&reply.frame()[4..]).unwrap(), reply);
        }
    }

    proptest::proptest! {
        #[test]
        fn hostile_frames_are_refused_without_panic(bytes in proptest::collection::vec(0u8..=255, 0..200)) {
            let _ = Reply::parse(&bytes);
            let _ = Request::parse(&bytes);
            let _ = BoxSpec::decode(&bytes);
        }
    }
}
