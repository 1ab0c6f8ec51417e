//! Arguments to exit code.

mod cli;

/// Events are many small allocations.
#[cfg(not(feature = "count_allocations"))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The same, and counts them.
#[cfg(feature = "count_allocations")]
#[global_allocator]
static ALLOCATOR: alloc_tracker::Allocator<mimalloc::MiMalloc> =
    alloc_tracker::Allocator::new(mimalloc::MiMalloc);

fn main() {
    let code = cli::main(std::env::args_os());
    // Leaves at once: a thread that still waits, for a line of stdin perhaps, holds nobody up.
    std::process::exit(code);
}
