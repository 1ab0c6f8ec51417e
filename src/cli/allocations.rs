//! How many allocations were made, where the program was built to count them.

use engine::bench::AllocationCounter;

/// Reads the count of the thread that asks; none where nobody counts.
#[cfg(not(feature = "count_allocations"))]
pub(super) fn counter() -> Option<AllocationCounter> {
    None
}

/// Reads the count of the thread that asks; none where nobody counts.
#[cfg(feature = "count_allocations")]
pub(super) fn counter() -> Option<AllocationCounter> {
    Some(counting::count)
}

#[cfg(feature = "count_allocations")]
mod counting {
    use std::cell::RefCell;

    use alloc_tracker::{Operation, Session, ThreadSpan};

    thread_local! {
        static COUNT: RefCell<Count> = RefCell::new(Count::new());
    }

    struct Count {
        session: Session,
        operation: Operation,
        /// Counts until it is dropped; renewed at each look.
        span: Option<ThreadSpan>,
    }

    impl Count {
        fn new() -> Self {
            let session = Session::new();
            let operation = session.operation("all");
            Self { session, operation, span: None }
        }
    }

    /// Allocations and their bytes since the first look. What a look allocates itself lies between
    /// two spans, so that it is not counted.
    pub(super) fn count() -> (u64, u64) {
        COUNT.with_borrow_mut(|count| {
            drop(count.span.take());
            let report = count.session.to_report();
            let counted = report.operations().next().map_or((0, 0), |(_, all)| {
                (all.total_allocations_count(), all.total_bytes_allocated())
            });
            drop(report);
            count.span = Some(count.operation.measure_thread());
            counted
        })
    }
}
