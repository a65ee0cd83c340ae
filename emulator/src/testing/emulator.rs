//! An emulator inside the test's process.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    ops::Deref,
    path::{Path, PathBuf},
    sync::mpsc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::{runtime::Builder, sync::oneshot};
use uuid::Uuid;

use super::{Client, PATIENCE, Pipe};
use crate::{Clock, Place, Prepared, Resources, ecs::Ecs};

/// The variable in which containers find the test's directory.
const DIRECTORY: &str = "TEST_DIRECTORY";

/// The pause between two looks at a task that is about to stop.
const PAUSE: Duration = Duration::from_millis(5);

/// The threads of the emulator: how many, and their name.
const THREADS: usize = 2;
const THREAD: &str = "emulator";

/// A running emulator, on a port from the system and with a temporary directory. It has its own threads, so it also answers while the
/// test's thread is busy, and may be shared by several tests. Dropping it stops it, with its functions and tasks.
///
/// It is used like a [`Client`].
#[derive(Debug)]
pub struct TestEmulator {
    client: Client,
    ecs: Ecs,
    directory: PathBuf,
    /// Dropped to stop the emulator.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TestEmulator {
    /// Starts an emulator with these [`Resources`], and waits until it is ready. Containers find the directory for the test's own files in
    /// the variable `TEST_DIRECTORY`.
    #[must_use]
    pub fn start(resources: Value) -> Self {
        let mut resources: Resources = serde_json::from_value::<Resources>(resources).unwrap().with_inherited();
        let directory = std::env::temp_dir().join(format!("emulator-{}", Uuid::new_v4().simple()));
        fs::create_dir_all(&directory).unwrap();
        resources.task_environment.insert(DIRECTORY.to_owned(), directory.display().to_string());
        let place = Place {
            data: directory.join("data"),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            allowed_hosts: Vec::new(),
            clock: Clock::of_process(),
        };
        let (ready, started) = mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new().name(THREAD.to_owned()).spawn(move || {
            let runtime =
                Builder::new_multi_thread().worker_threads(THREADS).thread_name(THREAD).enable_all().build().unwrap();
            runtime.block_on(async {
                let emulator = Prepared::open(place).await.unwrap().start(resources).unwrap();
                ready.send((emulator.url(), emulator.ecs())).unwrap();
                // The sender is dropped, and sends nothing.
                let _ = stopped.await;
                emulator.shut_down().await;
            });
        });
        let thread = thread.unwrap();
        let (url, ecs) = started.recv().expect("the emulator starts");
        Self { client: Client::new(url), ecs, directory, stop: Some(stop), thread: Some(thread) }
    }

    /// A directory for the test's own files, which is deleted with the emulator.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Waits until a task has stopped. Faults do not affect this.
    pub async fn wait_for_task_to_stop(&self, arn: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.ecs.has_stopped(arn) {
            assert!(Instant::now() < deadline, "timed out after {PATIENCE:?}, waiting for {arn} to stop");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Creates a pipe in the test's directory.
    #[must_use]
    pub fn pipe(&self, name: &str) -> Pipe {
        Pipe::new(self.directory.join(name))
    }
}

impl Deref for TestEmulator {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for TestEmulator {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        // What remains is in the system's temporary directory.
        let _ = fs::remove_dir_all(&self.directory);
        assert!(!matches!(ended, Some(Err(_))) || thread::panicking(), "the emulator panicked");
    }
}
