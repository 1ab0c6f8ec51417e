//! Arguments to exit code.

mod cli;

/// Events are many small allocations.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let code = cli::main(std::env::args_os());
    // Leaves at once: a thread that still waits, for a line of stdin perhaps, holds nobody up.
    std::process::exit(code);
}
