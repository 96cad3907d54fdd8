//! What every image of a machine shares: the base, the interpreter, uv.

mod fetched;
mod interpreter;
mod root;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use swegym_core::{Boundary, Digest, Fault, Hint as _};
use swegym_files::Draft;
use swegym_sandbox::base::Base;
use swegym_sandbox::store::{LayerId, StoreError};
use swegym_sandbox::{BoxSettings, Command, Extent, Image, Sandbox as _, SandboxError, Store};

use crate::context::{Context, InstallSettings};
use crate::shell::last_lines;
pub use fetched::folder as fetched_folder;
use interpreter::{Found, Interpreter};

/// uv, as boxes that install see it.
pub(crate) const UV: &str = "/mnt/uv";

/// Where an interpreter from a home folder stands in boxes.
const PLACE: &str = "/opt/python";

/// The bottom of every package image.
#[derive(Debug, Clone)]
pub struct Foundation {
    /// Base and interpreter.
    pub image: Image,
    /// The interpreter, as the box sees it.
    pub python: String,
    /// `3.11.7`.
    pub version: String,
}

impl Foundation {
    /// From which day on people used projects with its interpreter, if it is known.
    pub(crate) fn settled(&self) -> Option<&'static str> {
        interpreter::settled(&self.version)
    }
}

/// What a project wants of its interpreter, where the user named none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// What it asks for itself (PEP 440).
    pub requires: Option<String>,
    /// The day that it is of, `2021-03-01`: one of that time is taken before a newer one.
    pub day: Option<String>,
    /// Only one that is older than this: `3.10`.
    pub below: Option<String>,
    /// What served another commit of the same version, `3.9.18`: it is taken where it fits, so
    /// that both share what is installed.
    pub served: Option<String>,
}

/// Makes the foundation, or takes the one of an earlier run.
///
/// # Errors
/// When there is no usable interpreter, or it does not run in a box.
pub async fn lay(context: &Context, wanted: &Wanted) -> Result<Foundation, Fault> {
    lay_for(context, InstallSettings::clone(&context.install), wanted.clone()).await
}

/// The same for an interpreter of which the version, or less of it, is given.
///
/// # Errors
/// When there is none, or it does not run in a box.
pub async fn lay_named(context: &Context, version: &str) -> Result<Foundation, Fault> {
    // A recipe may be somebody else's: a path in it would be a program of theirs on this machine.
    if !version.starts_with("3.") || version.parse::<pep440_rs::Version>().is_err() {
        let message = format!("`{version}` is no version of Python");
        return Err(Fault::new(Boundary::Task, "no_interpreter", message)
            .with_hint("write numbers in the recipe, for example python = \"3.9\""));
    }
    let install =
        InstallSettings { python: Some(version.to_owned()), ..InstallSettings::clone(&context.install) };
    lay_for(context, install, Wanted::default()).await
}

async fn lay_for(context: &Context, install: InstallSettings, wanted: Wanted) -> Result<Foundation, Fault> {
    let refusal = match install.fetches_python {
        true => fetched::fetch(context, &install, &wanted).await?,
        false => None,
    };
    let found = tokio::task::spawn_blocking(move || interpreter::find(&install, &wanted));
    let found = found.await.map_err(|e| internal(&e))?.map_err(|mut fault| {
        if let Some(refusal) = refusal {
            fault.message.push_str(&format!("; {refusal}"));
        }
        fault
    })?;
    let foundation = match found {
        Found::InRoot(found) => root::lay(context, found).await?,
        Found::Here(interpreter) => on_the_machine(context, interpreter).await?,
    };
    check(context, &foundation).await?;
    Ok(foundation)
}

/// What the machine shows, with one of its interpreters.
async fn on_the_machine(context: &Context, interpreter: Interpreter) -> Result<Foundation, Fault> {
    let store = context.host.store().clone();
    let base = tokio::task::spawn_blocking(move || Base::host(&store));
    let base = base.await.map_err(|e| internal(&e))?.map_err(|e| SandboxError::from(e).to_fault())?;
    let bare = Image::new(base);
    if is_shown_by_base(&interpreter.prefix) {
        let python = interpreter.executable.to_string_lossy().into_owned();
        return Ok(Foundation { image: bare, python, version: interpreter.version });
    }
    with_interpreter(context, bare, interpreter).await
}

/// Reads the root file systems that the user gave, once and before anything asks for them.
///
/// # Errors
/// One of them does not serve, or has no interpreter.
pub async fn read_roots(context: &Context) -> Result<(), Fault> {
    for folder in &context.install.roots {
        let found = root::interpreters(folder);
        if found.is_empty() {
            let message = format!("`{}` has no Python in usr/bin or usr/local/bin", folder.display());
            return Err(Fault::new(Boundary::Task, "no_interpreter", message).with_hint(root::NEEDS));
        }
        for one in found {
            root::lay(context, one).await?;
        }
    }
    Ok(())
}

/// The interpreters of version managers and root file systems that can be seen: versions, by
/// where they lie.
#[must_use]
pub fn interpreters(install: &InstallSettings) -> Vec<(String, PathBuf)> {
    let managed = interpreter::managed(install).into_iter();
    let in_roots = install.roots.iter().flat_map(|folder| root::interpreters(folder));
    let in_roots =
        in_roots.map(|found| (found.version, found.root.join(found.program.trim_start_matches('/'))));
    let mut all: Vec<_> = managed.chain(in_roots).collect();
    all.sort();
    all.into_iter().map(|(version, program)| (version.to_string(), program)).collect()
}

pub(crate) fn internal(error: &tokio::task::JoinError) -> Fault {
    Fault::new(Boundary::Internal, "panic", error.to_string())
}

/// Whether boxes see this folder of the host anyway.
pub(crate) fn is_shown_by_base(prefix: &Path) -> bool {
    !is_shared(prefix) && ["/usr", "/nix/store", "/gnu/store"].iter().any(|shown| prefix.starts_with(shown))
}

/// Whether other programs of the machine's owner lie in this folder, which boxes
/// do not see.
pub(crate) fn is_shared(prefix: &Path) -> bool {
    prefix.starts_with("/usr/local")
}

/// What an interpreter needs at run time; its own tests, archives and other
/// people's packages are left out, and so is bytecode, which is made anew.
fn is_needed(path: &Path, is_shared: bool) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let parent = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    let of_library = parent.starts_with("python3.");
    if is_shared && path.components().count() <= 2 && !is_pythons(path) {
        return false;
    }
    let left_out =
        matches!(&*name, "test" | "idlelib" | "turtledemo" | "site-packages" | "ensurepip" | "lib2to3");
    !(name == "__pycache__" || name.ends_with(".a") || path == Path::new("share") || (of_library && left_out))
}

/// Whether a name at the top of a shared folder is the interpreter's.
fn is_pythons(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let is_place = ["bin", "include", "lib"].iter().any(|place| path == Path::new(place));
    is_place || name.starts_with("python3") || name == "python" || name.starts_with("libpython3")
}

/// The interpreter as a layer of its own. Preparing it takes seconds, so the
/// finished image is remembered by what identifies the interpreter.
async fn with_interpreter(context: &Context, bare: Image, found: Interpreter) -> Result<Foundation, Fault> {
    let store = context.host.store().clone();
    let minor: String = found.version.rsplit_once('.').map_or(found.version.as_str(), |(m, _)| m).to_owned();
    let python = format!("{PLACE}/bin/python{minor}");
    let stamp = std::fs::metadata(&found.executable).and_then(|m| m.modified()).ok();
    let key = format!(
        "{:?} {:?} {} {stamp:?} {} told where it stands",
        bare.base,
        found.prefix,
        found.version,
        env!("CARGO_PKG_VERSION")
    );
    let note = store.home().join("cache").join(format!("interpreter-{}", Digest::of(key.as_bytes()).short()));
    if let Some(image) = remembered(&store, &note) {
        return Ok(Foundation { image, python, version: found.version });
    }
    let (importing, prefix) = (store.clone(), found.prefix.clone());
    let layer = tokio::task::spawn_blocking(move || {
        let is_shared = is_shared(&prefix);
        importing.import_folder_at(&prefix, PLACE, |path| is_needed(path, is_shared))
    });
    let layer = layer.await.map_err(|e| internal(&e))?.map_err(|e| SandboxError::from(e).to_fault())?;
    let mut image = bare.with_layer(layer);
    image.set_env("PATH", &format!("{PLACE}/bin:/usr/local/bin:/usr/bin:/bin"));
    let settings = BoxSettings { limits: context.settings.build_limits.clone(), ..BoxSettings::default() };
    let sandbox = context.host.start_box(&image, &settings).await.map_err(|e| e.to_fault())?;
    // A shared libpython is found by its folder, whatever a test does to the
    // environment; the standard library never changes, so its bytecode is
    // not checked against it.
    // Where its headers are, it says as it was told when it was made.
    let moved = moved_script(&found.prefix, &minor);
    let prepare = format!(
        "{moved}; mkdir -p /etc/ld.so.conf.d && echo {PLACE}/lib > /etc/ld.so.conf.d/swegym-python.conf && \
         (PATH=$PATH:/usr/sbin:/sbin ldconfig 2>/dev/null; true) && rm -rf /var/cache/ldconfig && \
         {python} -m compileall -q -j 2 --invalidation-mode unchecked-hash {PLACE}/lib/python{minor} >/dev/null; \
         rm -rf /root/.cache; {python} -c pass"
    );
    let done =
        sandbox.exec(Command::shell(&prepare, Duration::from_secs(300))).await.map_err(|e| e.to_fault())?;
    if !done.succeeded() {
        let said = last_lines(&done.output.combined_text(), 5);
        return Err(Fault::new(
            Boundary::Task,
            "python_not_movable",
            format!("{} does not run in a box: {said}", found.prefix.display()),
        )
        .with_hint("name another interpreter with --python, for example the system's /usr/bin/python3"));
    }
    let image = image.with_layer(sandbox.snapshot(Extent::Image).await.map_err(|e| e.to_fault())?);
    sandbox.stop().await.map_err(|e| e.to_fault())?;
    let digest = store.save_image(&image).map_err(|e| SandboxError::from(e).to_fault())?;
    // Only a shortcut: without it the next run prepares the layer again.
    let _ = swegym_files::write_whole(&note, digest.hex().as_bytes());
    Ok(Foundation { image, python, version: found.version })
}

/// Tells an interpreter where it stands now, where it names the place that it was made for:
/// what compiles extensions goes by that.
fn moved_script(prefix: &Path, minor: &str) -> String {
    let special = |c: char| if "\\.[]*^$|&".contains(c) { format!("\\{c}") } else { c.to_string() };
    let prefix: String = prefix.to_string_lossy().chars().map(special).collect();
    let files = format!(
        "{PLACE}/lib/python{minor}/_sysconfigdata*.py {PLACE}/lib/python{minor}/config-*/Makefile {PLACE}/lib/pkgconfig/*.pc"
    );
    let rule = swegym_core::shell::quote(&format!("s|{prefix}|{PLACE}|g"));
    format!("sed -i {rule} $(ls {files} 2>/dev/null) 2>/dev/null || true")
}

fn remembered(store: &Store, note: &Path) -> Option<Image> {
    let image = store.load_image(std::fs::read_to_string(note).ok()?.trim()).ok()?;
    image.layers.iter().all(|l| store.layer_folder(*l).is_ok()).then_some(image)
}

/// The interpreter must start where it now stands, without help.
async fn check(context: &Context, foundation: &Foundation) -> Result<(), Fault> {
    let settings = context.test_box();
    let sandbox = context.host.start_box(&foundation.image, &settings).await.map_err(|e| e.to_fault())?;
    let ask = Command::new(
        [foundation.python.as_str(), "-c", "import ssl, zlib, sqlite3, ctypes"],
        Duration::from_secs(30),
    );
    let done = sandbox.exec(ask).await.map_err(|e| e.to_fault())?;
    sandbox.stop().await.map_err(|e| e.to_fault())?;
    if done.succeeded() {
        return Ok(());
    }
    let said = last_lines(&done.output.combined_text(), 3);
    Err(Fault::new(Boundary::Task, "no_python", format!("the interpreter does not work in a box: {said}"))
        .with_hint("name another one with --python"))
}

/// The image with uv on top, for a box that installs. What such a box writes
/// stands without it. The layer is remembered by what identifies the program.
pub(crate) async fn with_uv(context: &Context, image: &Image) -> Result<Image, Fault> {
    let store = context.host.store().clone();
    let layer = tokio::task::spawn_blocking(move || {
        let tools = store.home().join("tools");
        let program = std::fs::metadata(tools.join("uv"));
        let stamp = program.ok().and_then(|m| Some((m.len(), m.modified().ok()?)));
        let key = Digest::of(format!("{stamp:?} {}", env!("CARGO_PKG_VERSION")).as_bytes()).short();
        let note = store.home().join("cache").join(format!("uv-{key}"));
        let noted = std::fs::read_to_string(&note).ok();
        let noted = noted.and_then(|text| Digest::parse(text.trim()).ok()).map(LayerId);
        if let Some(layer) = noted.filter(|layer| store.layer_folder(*layer).is_ok()) {
            return Ok(layer);
        }
        let layer = store.import_folder_at(&tools, "/mnt", |path| path == Path::new("uv"))?;
        // Only a shortcut: without it the next build imports it again.
        let _ = swegym_files::write_whole(&note, layer.0.hex().as_bytes());
        Ok(layer)
    });
    let layer = layer.await.map_err(|e| internal(&e))?;
    Ok(image.with_layer(layer.map_err(|e: StoreError| SandboxError::from(e).to_fault())?))
}

/// uv under the home folder: one that is there, the machine's own, or fetched
/// from the index. Gives its path relative to the home folder.
///
/// # Errors
/// When there is none and the index has none.
pub async fn ready_uv(context: &Context, found: Option<PathBuf>) -> Result<String, Fault> {
    const RELATIVE: &str = "tools/uv";
    let home = context.host.store().home().to_owned();
    let index = context.index.clone();
    let install = tokio::task::spawn_blocking(move || {
        let place = home.join(RELATIVE);
        if place.is_file() {
            return Ok(());
        }
        let io = |source: std::io::Error| {
            let error = StoreError::Io { action: "install uv as", path: home.join(RELATIVE), source };
            SandboxError::from(error).to_fault()
        };
        // Version managers put scripts of that name on the PATH; a box needs the program.
        let program = found.map(std::fs::read).transpose().map_err(io)?;
        let bytes = match program.filter(|bytes| bytes.starts_with(b"\x7fELF")) {
            Some(bytes) => bytes,
            None => swegym_tasks::uv::fetch(&index, std::env::consts::ARCH).map_err(|e| {
                let boundary = if e.is_infrastructure() { Boundary::Sandbox } else { Boundary::Task };
                let why = std::error::Error::source(&e).map(|s| format!(": {s}")).unwrap_or_default();
                Fault::new(boundary, "no_uv", format!("cannot get uv: {e}{why}"))
                    .with_hint(format!("{}; or put uv on the PATH yourself", e.hint().unwrap_or_default()))
            })?,
        };
        let write = || {
            let mut draft = Draft::begin(&place)?;
            draft.write_all(&bytes)?;
            draft.make_executable()?;
            draft.publish()
        };
        write().map_err(io)
    });
    install.await.map_err(|e| internal(&e))??;
    Ok(RELATIVE.to_owned())
}
