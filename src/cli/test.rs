//! `engine test`: the `tests:` of pipelines, in virtual time.

mod json;
mod junit;
mod text;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use engine::clock::{Clock, Speed};
use engine::problem::{Problem, Problems};
use engine::testing::{Outcome, Snapshots, Suite};

use super::pipeline::ReadArguments;
use super::watched_files::Files;
use super::{CommandError, CommandResult, Exit, terminal};

/// What to test.
#[derive(Args)]
#[command(after_help = "\
Examples:
  engine test pipelines/*.yaml
  engine test shop.yaml --filter basket --watch
  engine test shop.yaml --update                 write its snapshots anew
  engine test pipelines/*.yaml --junit report.xml

Nothing outside is touched: sinks keep what they get, and time is virtual.
Exits with 1 if a test failed, with 2 if a spec is wrong.")]
pub(super) struct TestArguments {
    /// The pipelines, or `-` for stdin
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Only tests whose name has this text
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Write the snapshots anew that differ
    #[arg(long)]
    update: bool,
    /// Test again whenever a spec changes, or a file that it names; until stopped
    #[arg(long)]
    watch: bool,
    /// How to write the results
    #[arg(long, value_enum, default_value_t)]
    format: TestFormat,
    /// Write them to this file as `JUnit` XML, too
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    #[command(flatten)]
    read: ReadArguments,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum TestFormat {
    /// For reading, a line for each test
    #[default]
    Text,
    /// One object
    Json,
    /// `JUnit` XML, for build servers
    Junit,
}

/// What came of one pipeline.
struct Tested {
    file: String,
    /// Whether it has any, asked for or not.
    has_tests: bool,
    /// What keeps its tests from running.
    problems: Problems,
    results: Vec<TestResult>,
}

/// What came of one test.
struct TestResult {
    outcome: Outcome,
    /// How long it took, of the machine's time.
    seconds: f64,
}

impl Tested {
    fn failures(&self) -> usize {
        self.results.iter().filter(|result| !result.outcome.is_success()).count()
    }

    fn seconds(&self) -> f64 {
        self.results.iter().fold(0.0, |sum, result| sum + result.seconds)
    }
}

pub(super) fn test(arguments: &TestArguments) -> CommandResult {
    if !arguments.watch {
        return once(arguments, &mut Files::default());
    }
    if arguments.files.iter().any(|file| file.as_os_str() == "-") {
        let problem = Problem::error("stdin comes once and cannot be watched");
        return Err(problem.help("name a file").into());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|error| {
        let problem = Problem::error(format!("cannot wait for files: {error}"));
        CommandError::Failed(problem.into())
    })?;
    loop {
        let mut files = Files::default();
        match once(arguments, &mut files) {
            Ok(_) => {}
            Err(CommandError::Wrong(problems) | CommandError::Failed(problems)) => {
                terminal::report(&problems);
            }
        }
        terminal::note("waiting for changes");
        for file in runtime.block_on(files.changed()) {
            terminal::note(&format!("\n{} changed", file.display()));
        }
    }
}

/// Tests all pipelines; the files that matter are gathered.
fn once(arguments: &TestArguments, files: &mut Files) -> CommandResult {
    let mut all = Vec::with_capacity(arguments.files.len());
    for file in &arguments.files {
        all.push(tested(file, arguments, files)?);
    }
    match arguments.format {
        TestFormat::Text => _ = terminal::data(&text::summary(&all))?,
        TestFormat::Json => _ = terminal::data(&json::render(&all))?,
        TestFormat::Junit => _ = terminal::data(&junit::render(&all))?,
    }
    if let Some(path) = &arguments.junit {
        std::fs::write(path, junit::render(&all)).map_err(|error| {
            let message = format!("cannot write `{}`: {error}", path.display());
            CommandError::Failed(Problem::error(message).into())
        })?;
    }
    if let Some(filter) = &arguments.filter
        && all.iter().all(|tested| tested.results.is_empty() && tested.problems.is_empty())
    {
        terminal::note(&format!("no test has `{filter}` in its name"));
    }
    Ok(if all.iter().any(|tested| tested.problems.has_errors()) {
        Exit::Wrong
    } else if all.iter().any(|tested| tested.failures() > 0) {
        Exit::Failed
    } else {
        Exit::Done
    })
}

/// Tests one pipeline, and says what came of it as it comes.
fn tested(
    path: &Path,
    arguments: &TestArguments,
    files: &mut Files,
) -> Result<Tested, CommandError> {
    let file = path.display().to_string();
    let suite = match suite(path, arguments, files) {
        Ok(suite) => suite,
        Err(problems) => {
            terminal::report(&problems);
            return Ok(Tested { file, has_tests: true, problems, results: Vec::new() });
        }
    };
    let problems = suite.warnings().clone();
    if !problems.is_empty() {
        terminal::report(&problems);
    }
    // Of one file it is the news; of many, the summary has how many they are.
    if suite.cases().is_empty() && arguments.files.len() == 1 {
        let problem = Problem::warning(format!("`{file}` has no tests"));
        let help = "write some under `tests:`, or have `engine dlq export-test` write one";
        terminal::report(&problem.help(help).into());
    }
    let snapshots = if arguments.update { Snapshots::Update } else { Snapshots::Compare };
    let mut results = Vec::new();
    for case in suite.cases() {
        if arguments.filter.as_ref().is_some_and(|filter| !case.name.contains(filter.as_str())) {
            continue;
        }
        let clock = Clock::new(None, Speed::Max, false);
        let outcome = suite.run(case, snapshots);
        let result = TestResult { outcome, seconds: clock.elapsed().as_secs_f64() };
        if arguments.format == TestFormat::Text {
            terminal::data(&text::result(&file, &result))?;
        }
        for path in &result.outcome.written {
            terminal::note(&format!("wrote {}", path.display()));
        }
        results.push(result);
    }
    Ok(Tested { file, has_tests: !suite.cases().is_empty(), problems, results })
}

fn suite(path: &Path, arguments: &TestArguments, files: &mut Files) -> Result<Suite, Problems> {
    let environment = arguments.read.environment()?;
    let document = arguments.read.read(path, &environment);
    let suite = document
        .and_then(|document| arguments.read.engine(document))
        .and_then(|engine| Suite::new(engine.plan()));
    files.add(environment.files_read());
    suite
}
