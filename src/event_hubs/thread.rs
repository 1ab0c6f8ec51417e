//! A thread with a runtime of its own for each client of the SDK. On a runtime of several threads
//! an answer that comes at once is lost now and then, and the call waits for it for ever; and names
//! of hosts are looked up by blocking.

/// Runs something to its end on a thread of its own. What it leaves behind there is dropped with
/// it, and not waited for.
pub(crate) fn run_apart<F: Future<Output = ()>>(
    name: &str,
    work: impl FnOnce() -> F + Send + 'static,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread.spawn(move || {
        runtime.block_on(work());
        runtime.shutdown_background();
    })?;
    Ok(())
}
