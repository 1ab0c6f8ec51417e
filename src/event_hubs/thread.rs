//! A thread with a runtime of its own for each client of the SDK. On a runtime of several threads
//! an answer that comes at once is lost now and then, and the call waits for it for ever; and names
//! of hosts are looked up by blocking.

use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Those that may still be there.
static THREADS: Mutex<Vec<JoinHandle<()>>> = Mutex::new(Vec::new());

/// Runs something to its end on a thread of its own. What it leaves behind there is dropped with
/// it, and not waited for.
pub(crate) fn run_apart<F: Future<Output = ()>>(
    name: &str,
    work: impl FnOnce() -> F + Send + 'static,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let thread = std::thread::Builder::new().name(name.to_owned());
    let thread = thread.spawn(move || {
        runtime.block_on(work());
        runtime.shutdown_background();
    })?;
    let mut threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
    threads.retain(|thread| !thread.is_finished());
    threads.push(thread);
    Ok(())
}

/// Waits for the threads that are about to end, a second at most: a process that exits under a
/// thread which is taking down its TLS can crash.
pub fn wait_for_threads() {
    let mut threads = std::mem::take(&mut *THREADS.lock().unwrap_or_else(PoisonError::into_inner));
    for _ in 0..1000 {
        let (over, left) = threads.into_iter().partition(JoinHandle::is_finished);
        threads = left;
        let over: Vec<JoinHandle<()>> = over;
        for thread in over {
            // A panic was said when it happened.
            let _ = thread.join();
        }
        if threads.is_empty() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
