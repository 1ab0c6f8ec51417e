//! When this process began.

/// Seconds from 1970 to the beginning of the process; none where the system does not say.
pub(super) fn started() -> Option<f64> {
    let read = |path| std::fs::read_to_string(path).ok();
    started_by(&read("/proc/self/stat")?, &read("/proc/stat")?)
}

/// How many of Linux's ticks are a second, on every architecture that Rust knows.
const TICKS: f64 = 100.0;

/// By what the system says of the process, and of itself.
fn started_by(process: &str, system: &str) -> Option<f64> {
    // The name of the program is in brackets, and may itself have spaces and brackets. The 22nd
    // field of all, the 20th behind it, is the time from the start of the system.
    let (_, fields) = process.rsplit_once(')')?;
    let ticks: f64 = fields.split_whitespace().nth(19)?.parse().ok()?;
    let booted = system.lines().find_map(|line| line.strip_prefix("btime "))?;
    Some(booted.trim().parse::<f64>().ok()? + ticks / TICKS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_began_so_many_ticks_after_its_system() {
        let process = "7 (a (b) c) S 1 7 7 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 2550 100 10";
        let system = "cpu  1 2 3\nbtime 1700000000\nprocesses 5\n";
        assert_eq!(started_by(process, system), Some(1_700_000_025.5));
        assert_eq!(started_by("7 (a) S 1", system), None);
        assert_eq!(started_by(process, "cpu 1\n"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_began_before_now() {
        let clock = crate::clock::Clock::new(None, crate::clock::Speed::Max, false);
        let now = clock.wall().as_millis() as f64 / 1e3;
        let started = started().unwrap();
        assert!((now - 86_400.0..now + 1.0).contains(&started), "{started} of {now}");
    }
}
