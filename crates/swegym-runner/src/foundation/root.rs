//! Root file systems of other releases, for the Python that they have: what debootstrap
//! makes, or an unpacked image. They are the base of the boxes then, instead of the machine.

use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use pep440_rs::Version;
use swegym_core::{Boundary, Digest, Fault};
use swegym_sandbox::base::Base;
use swegym_sandbox::{BoxSettings, Command, Image, Sandbox as _, SandboxError};

use super::{Foundation, internal};
use crate::context::Context;
use crate::shell::last_lines;

/// Where interpreters stand in a root file system.
const PLACES: [&str; 2] = ["usr/bin", "usr/local/bin"];

/// What every box needs beside an interpreter.
const TOOLS: &str = "bash git patch sed find xargs sort comm grep tr";

/// A hint.
pub(super) const NEEDS: &str = "a root file system needs git, patch and a Python with its library: \
debootstrap --variant=minbase --include=git,patch,python3,python3-venv,python3-distutils";

/// An interpreter of a root file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InRoot {
    pub(super) root: PathBuf,
    /// As boxes see it.
    pub(super) program: String,
    /// By its name, without the third number.
    pub(super) version: Version,
}

/// The interpreters that a root file system has.
pub(super) fn interpreters(root: &Path) -> Vec<InRoot> {
    let names = |place: &'static str| {
        let folder = root.join(place);
        // A link may lead out of it, to the machine's own.
        let is_inside = std::fs::canonicalize(&folder).is_ok_and(|whole| whole.starts_with(root));
        let entries = is_inside.then(|| std::fs::read_dir(folder)).into_iter().flatten().flatten().flatten();
        entries.filter_map(move |entry| {
            let name = entry.file_name().into_string().ok()?;
            let version: Version = name.strip_prefix("python")?.parse().ok()?;
            let is_minor = version.release().len() == 2 && version.release()[0] == 3 && version.is_stable();
            is_minor.then(|| InRoot { root: root.to_owned(), program: format!("/{place}/{name}"), version })
        })
    };
    PLACES.into_iter().flat_map(names).collect()
}

/// The root file system as the bottom of images. Reading it takes seconds, so what was made of
/// it is remembered by what changes with its packages.
///
/// # Errors
/// It cannot be read, or what every box needs is not in it.
pub(super) async fn lay(context: &Context, found: InRoot) -> Result<Foundation, Fault> {
    let store = context.host.store().clone();
    let note = store.home().join("cache").join(format!("root-{}", stamp(&found).short()));
    let noted = std::fs::read_to_string(&note).unwrap_or_default();
    if let Some((digest, version)) = noted.trim().split_once(' ')
        && let Ok(image) = store.load_image(digest)
        && image.base.is_kept(&store)
    {
        return Ok(Foundation { image, python: found.program, version: version.to_owned() });
    }
    let (importing, root) = (store.clone(), found.root.clone());
    let base = tokio::task::spawn_blocking(move || Base::rootfs(&importing, &root));
    let base = base.await.map_err(|e| internal(&e))?.map_err(|e| SandboxError::from(e).to_fault())?;
    let image = Image::new(base);
    let version = ask(context, &image, &found).await?;
    let digest = store.save_image(&image).map_err(|e| SandboxError::from(e).to_fault())?;
    // Only a shortcut: without it the next run reads it again.
    let _ = swegym_files::write_whole(&note, format!("{} {version}", digest.hex()).as_bytes());
    Ok(Foundation { image, python: found.program, version })
}

/// What tells this root file system, as it is now, from others.
fn stamp(found: &InRoot) -> Digest {
    let changed = |name: &str| {
        let time = std::fs::metadata(found.root.join(name)).and_then(|data| data.modified()).ok()?;
        Some(time.duration_since(UNIX_EPOCH).ok()?.as_nanos())
    };
    let times = ["", "usr/bin", "usr/lib", "usr/local/bin", "usr/local/lib", "var/lib/dpkg/status", "etc"];
    let times = times.map(changed);
    Digest::of(format!("{found:?} {times:?} {}", env!("CARGO_PKG_VERSION")).as_bytes())
}

/// The whole version of the interpreter, by itself, in a box.
async fn ask(context: &Context, image: &Image, found: &InRoot) -> Result<String, Fault> {
    let settings = BoxSettings { limits: context.settings.build_limits.clone(), ..BoxSettings::default() };
    let sandbox = context.host.start_box(image, &settings).await.map_err(|e| e.to_fault())?;
    let line = format!(
        "for tool in {TOOLS}; do command -v $tool > /dev/null || echo \"no $tool\"; done; \
         {} -I -c \"import sys; print('.'.join(map(str, sys.version_info[:3])))\"",
        found.program
    );
    let done =
        sandbox.exec(Command::shell(&line, Duration::from_secs(60))).await.map_err(|e| e.to_fault())?;
    sandbox.stop().await.map_err(|e| e.to_fault())?;
    let said = done.output.combined_text();
    let is_whole = |text: &str| text.parse::<Version>().is_ok_and(|version| version.release().len() == 3);
    if done.succeeded() && is_whole(said.trim()) {
        return Ok(said.trim().to_owned());
    }
    let message =
        format!("`{}` of {} does not serve: {}", found.program, found.root.display(), last_lines(&said, 12));
    Err(Fault::new(Boundary::Task, "no_interpreter", message).with_hint(NEEDS))
}
