//! The threads of a run: some for its stages, and the one that watches over them, which is the
//! caller's. So a stage that never comes back from a call holds up neither signals nor deadlines,
//! however few processors there are.

use tokio::runtime::{Builder, Handle, Runtime};

/// Two runtimes: one for stages, one for whoever waits for them. Dropping it leaves behind what does
/// not end.
pub struct Threads {
    /// None once it is dropped.
    stages: Option<Runtime>,
    /// None once it is dropped.
    watch: Option<Runtime>,
}

impl Threads {
    /// Starts the threads of the stages.
    pub fn new() -> std::io::Result<Self> {
        let watch = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { stages: Some(Runtime::new()?), watch: Some(watch) })
    }

    /// Where stages run: runs are prepared in there.
    ///
    /// ```
    /// # let threads = engine::runtime::Threads::new().unwrap();
    /// let stages = threads.stages();
    /// threads.block_on(async {
    ///     let run = {
    ///         let _inside = stages.enter();
    ///         // engine.prepare(control)
    ///     };
    ///     // run.finish().await
    /// });
    /// ```
    pub fn stages(&self) -> &Handle {
        self.stages.as_ref().expect("it is not dropped").handle()
    }

    /// Waits for something on this thread.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.watch.as_ref().expect("it is not dropped").block_on(future)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        for runtime in [self.stages.take(), self.watch.take()].into_iter().flatten() {
            runtime.shutdown_background();
        }
    }
}
