//! The layer with an interpreter's environment: everything that is installed but the
//! project itself. Images with the same list of versions share it.

use swegym_core::{Boundary, Digest, Fault};
use swegym_sandbox::store::LayerId;
use swegym_sandbox::{Extent, Sandbox as _, SandboxError, Store};
use swegym_tasks::recipe::{Step, Way};
use swegym_tasks::uv;

use super::installer::{self, Installer, Refused};
use super::lock::Lock;
use super::{Project, wheels};
use crate::foundation::internal;
use crate::shell::must_run_in;

/// Where it is in every image.
pub(super) const PLACE: &str = "/opt/venv";

/// The list, as a file in the box.
const LIST: &str = "/tmp/locked.txt";

/// Makes the environment with these versions, or takes the one that was made before.
///
/// # Errors
/// Something does not install.
pub(super) async fn make(
    project: &Project<'_>,
    lock: &Lock,
    until: Option<&str>,
    way: &Way,
) -> Result<LayerId, Refused> {
    let store = project.context.host.store();
    let key = key(project, lock, until, way);
    let turn = project.context.making.turn(key);
    let _turn = turn.lock().await;
    let note = store.home().join("cache").join(format!("environment-{}", key.short()));
    if let Some(layer) = remembered(store, &note) {
        return Ok(layer);
    }
    let layer = install(project, lock, until, way).await?;
    // Only a shortcut: without it the next build makes the layer again.
    let _ = swegym_files::write_whole(&note, layer.0.hex().as_bytes());
    Ok(layer)
}

/// What decides what an environment holds.
fn key(project: &Project<'_>, lock: &Lock, until: Option<&str>, way: &Way) -> Digest {
    let ground = &project.foundation.image;
    let until = until.or(project.context.install.exclude_newer.as_deref());
    let text = format!(
        "{:?} {:?} {} {until:?} {:?} {:?} {:?} {:?} {:?} uv {} swegym {} {:?}",
        ground.base,
        ground.layers,
        project.foundation.python,
        way.build_with.get(&Step::Environment),
        way.wheels_until,
        way.wheels_only,
        way.pure,
        way.freed,
        uv::VERSION,
        env!("CARGO_PKG_VERSION"),
        lock.packages,
    );
    Digest::of(text.as_bytes())
}

fn remembered(store: &Store, note: &std::path::Path) -> Option<LayerId> {
    let layer = LayerId(Digest::parse(std::fs::read_to_string(note).ok()?.trim()).ok()?);
    store.layer_folder(layer).is_ok().then_some(layer)
}

async fn install(
    project: &Project<'_>,
    lock: &Lock,
    until: Option<&str>,
    way: &Way,
) -> Result<LayerId, Refused> {
    let to_refused = |fault: Fault| Refused::at(Step::Environment)(fault);
    let ground = &project.foundation.image;
    let started = Installer::start(project.context, ground, Step::Environment, "", until, way);
    let installer = started.await.map_err(to_refused)?;
    let python = &project.foundation.python;
    installer
        .uv(&format!("venv -q --no-project --python {python} {PLACE}"), "making the environment")
        .await?;
    let (mut ready, mut built) = by_wheels(project, lock, way).await.map_err(to_refused)?;
    if let Some(later) = &way.wheels_until
        && put(&installer, &ready, Some(later)).await.is_ok()
    {
        ready.clear();
    }
    let frees: String = installer.options(false);
    for name in &way.pure {
        let Some(at) = built.iter().position(|one| one.split("==").next() == Some(name)) else { continue };
        let package = built.remove(at);
        let alone = format!("pip install -q --no-deps --python {PLACE}/bin/python {frees} '{package}'");
        installer.uv_without_compiler(&alone, "installing without a compiler").await?;
    }
    ready.append(&mut built);
    put(&installer, &ready, None).await?;
    let layer = finish(&installer).await.map_err(to_refused)?;
    installer.sandbox.stop().await.map_err(|e| to_refused(e.to_fault()))?;
    Ok(layer)
}

/// Installs exact versions; as wheels alone where these may be of `later`.
async fn put(installer: &Installer<'_>, packages: &[String], later: Option<&str>) -> Result<(), Refused> {
    if packages.is_empty() {
        return Ok(());
    }
    let list: String = packages.iter().map(|one| format!("{one}\n")).collect();
    installer.write(LIST, &list).await.map_err(|fault| installer.refused(fault))?;
    let line = format!("pip install -q --no-deps --python {PLACE}/bin/python -r {LIST}");
    match later {
        Some(time) => installer.uv_as_of(time, &line, "installing wheels").await?,
        None => {
            let line = format!("{line} {}", installer.options(false));
            // What needs no code of a package to run is tried first.
            match installer.uv(&format!("{line} --only-binary :all:"), "installing").await {
                Ok(said) => said,
                Err(_) => installer.uv(&line, "installing the requirements").await?,
            }
        }
    };
    Ok(())
}

/// The packages that have a wheel, and the others. Versions are exact: a wheel that came
/// later is of the same version, and nothing has to run to install it.
async fn by_wheels(
    project: &Project<'_>,
    lock: &Lock,
    way: &Way,
) -> Result<(Vec<String>, Vec<String>), Fault> {
    let all = lock.packages.clone();
    let Some(limit) = way.wheels_until.clone() else { return Ok((Vec::new(), all)) };
    let (index, python) = (project.context.index.clone(), project.foundation.version.clone());
    let sorted = tokio::task::spawn_blocking(move || {
        let (mut ready, mut built) = (Vec::new(), Vec::new());
        for package in all {
            let name = package.split(['=', '[']).next().unwrap_or(&package);
            let has_wheel = match index.files(name) {
                Ok(files) => wheels::has_wheel(&files, &package, &python, &limit),
                Err(error) if error.is_infrastructure() => {
                    return Err(Fault::new(Boundary::Sandbox, "network", error.to_string()));
                }
                Err(_) => false,
            };
            if has_wheel { ready.push(package) } else { built.push(package) }
        }
        Ok((ready, built))
    });
    sorted.await.map_err(|e| internal(&e))?
}

/// Equal packages give equal layers: nothing with the time of this build stays, neither
/// uv's note about it nor bytecode that names it.
async fn finish(installer: &Installer<'_>) -> Result<LayerId, Fault> {
    let tidy = format!(
        "rm -rf {cache} /root/.cache /root/.local; find {PLACE} -name uv_cache.json -delete; \
         find {PLACE}/lib -path '*.dist-info/RECORD' -exec sed -i '/uv_cache.json,/d' {{}} +; \
         {PLACE}/bin/python -B -m compileall -q -j 2 --invalidation-mode checked-hash -x '{tests}' {PLACE}/lib >/dev/null; true",
        cache = installer::CACHE,
        tests = super::TESTS_WITHOUT_BYTECODE,
    );
    must_run_in("/", &installer.sandbox, &tidy, "compiling").await?;
    installer.sandbox.snapshot(Extent::Image).await.map_err(|e: SandboxError| e.to_fault())
}
