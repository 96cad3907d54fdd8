//! A host with a store of its own, and the host base.
#![allow(dead_code, unreachable_pub, clippy::allow_attributes, reason = "each test file uses a part of this")]

use std::time::Duration;

use swegym_sandbox::base::Base;
use swegym_sandbox::{
    BoxSettings, Command, EmbeddedSandbox, Execution, Host, Image, Limits, Sandbox as _, Store,
};

pub const SECOND: Duration = Duration::from_secs(1);

pub struct World {
    pub host: Host,
    pub image: Image,
    pub home: tempfile::TempDir,
}

pub async fn world() -> World {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).unwrap();
    let image = Image::new(Base::host(&store).unwrap());
    let host = Host::start(store, env!("CARGO_BIN_EXE_swegym-keeper").into(), &[]).await.unwrap();
    World { host, image, home }
}

impl World {
    pub async fn start(&self) -> EmbeddedSandbox {
        self.start_with(Limits::default()).await
    }

    pub async fn start_with(&self, limits: Limits) -> EmbeddedSandbox {
        let settings = BoxSettings { limits, ..BoxSettings::default() };
        self.host.start_box(&self.image, &settings).await.unwrap()
    }
}

pub async fn sh(sandbox: &EmbeddedSandbox, line: &str) -> Execution {
    sandbox.exec(Command::shell(line, 20 * SECOND)).await.unwrap()
}

pub async fn out(sandbox: &EmbeddedSandbox, line: &str) -> String {
    let done = sh(sandbox, line).await;
    done.output.combined_text()
}
