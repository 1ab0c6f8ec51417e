//! `print` and `debug` in scripts: lines of the log that say which rule wrote them, and where.

use std::fmt;
use std::ops::{Range, RangeInclusive};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rhai::{
    Array, Blob, Dynamic, Engine, FnPtr, ImmutableString, Map, NativeCallContext, Position, Variant,
};

use super::compile::place;
use super::values::ScriptResult;
use crate::clock::Stopwatch;
use crate::problem::Excerpt;

/// How many lines a rule may print in [`INTERVAL`]: enough for whoever tries a rule out, and few
/// enough that one that was left in a busy pipeline does no harm.
const LINES_MAX: u64 = 20;
/// How long the lines of a rule are counted together.
const INTERVAL: Duration = Duration::from_secs(1);

/// Writes what one script prints; copies write the lines of the same script.
#[derive(Clone)]
pub(super) struct Printer(Arc<Shared>);

/// Who prints.
#[derive(Clone, Debug, Default)]
pub(super) enum Speaker {
    /// A script of another sort, such as one that gives weights.
    #[default]
    Script,
    /// The rule of a stage.
    Rule(String),
    /// A hook, by its name.
    Hook(&'static str),
}

/// What the lines of hooks are filtered by.
const HOOK_TARGET: &str = "engine::hook";

struct Shared {
    speaker: Speaker,
    excerpt: Arc<Excerpt>,
    /// Set while the script is only tried out.
    is_silent: AtomicBool,
    window: Mutex<Window>,
}

/// The lines of one interval.
#[derive(Default)]
struct Window {
    began: Option<Stopwatch>,
    shown: u64,
    withheld: u64,
}

#[derive(Clone, Copy)]
enum Level {
    /// `print`, for whoever runs the pipeline to see.
    Print,
    /// `debug`, for whoever asks for more.
    Debug,
}

impl Printer {
    pub(super) fn new(speaker: Speaker, excerpt: Arc<Excerpt>) -> Self {
        let (is_silent, window) = (AtomicBool::new(false), Mutex::default());
        Self(Arc::new(Shared { speaker, excerpt, is_silent, window }))
    }

    /// Teaches an engine `print` and `debug`. The interpreter's own would not know where they are
    /// called from, and there is one of them for each of these types.
    pub(super) fn register(&self, engine: &mut Engine) {
        for (name, level) in [("print", Level::Print), ("debug", Level::Debug)] {
            self.register_for::<ImmutableString>(engine, name, level);
            self.register_for::<i64>(engine, name, level);
            self.register_for::<f64>(engine, name, level);
            self.register_for::<bool>(engine, name, level);
            self.register_for::<char>(engine, name, level);
            self.register_for::<()>(engine, name, level);
            self.register_for::<Array>(engine, name, level);
            self.register_for::<Map>(engine, name, level);
            self.register_for::<Blob>(engine, name, level);
            self.register_for::<FnPtr>(engine, name, level);
            self.register_for::<Range<i64>>(engine, name, level);
            self.register_for::<RangeInclusive<i64>>(engine, name, level);
            // Whatever else there is.
            self.register_for::<Dynamic>(engine, name, level);
            let printer = self.clone();
            engine.register_fn(name, move |cx: NativeCallContext| {
                printer.write(level, cx.call_position(), "");
            });
        }
    }

    fn register_for<T: Variant + Clone>(&self, engine: &mut Engine, name: &str, level: Level) {
        let printer = self.clone();
        engine.register_fn(name, move |cx: NativeCallContext, value: T| {
            printer.write_value(level, &cx, Dynamic::from(value))
        });
    }

    /// Writes nothing from now on.
    pub(super) fn silence(&self) {
        self.0.is_silent.store(true, Relaxed);
    }

    /// Runs something without a word of the script.
    pub(super) fn quietly<R>(&self, work: impl FnOnce() -> R) -> R {
        let was = self.0.is_silent.swap(true, Relaxed);
        let result = work();
        self.0.is_silent.store(was, Relaxed);
        result
    }

    fn write_value(
        &self,
        level: Level,
        cx: &NativeCallContext<'_>,
        value: Dynamic,
    ) -> ScriptResult<()> {
        // The interpreter would show nothing at all, as if nothing had been printed.
        let text = if value.is_unit() {
            "()".into()
        } else {
            let name = if matches!(level, Level::Print) { "to_string" } else { "to_debug" };
            cx.call_native_fn::<ImmutableString>(name, (value,))?
        };
        self.write(level, cx.call_position(), &text);
        Ok(())
    }

    fn write(&self, level: Level, position: Position, text: &str) {
        let Shared { speaker, excerpt, is_silent, .. } = &*self.0;
        if is_silent.load(Relaxed) || !speaker.is_asked_for(level) {
            return;
        }
        let (is_shown, withheld) = self.window().count();
        let place = place(excerpt, position, 0);
        let (name, line) = (&place.source.name, place.start().line);
        if withheld > 0 {
            speaker.say(Level::Print, &format!("{speaker}: ... {withheld} more"));
        }
        if is_shown {
            speaker.say(level, &format!("{speaker} ({name}:{line}): {text}"));
        }
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.0.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Printer {
    fn drop(&mut self) {
        // The engine's functions hold copies, too, so the last one ends with the script.
        if Arc::strong_count(&self.0) == 1 {
            let withheld = self.window().withheld;
            if withheld > 0 {
                let speaker = &self.0.speaker;
                speaker.say(Level::Print, &format!("{speaker}: ... {withheld} more"));
            }
        }
    }
}

impl Speaker {
    /// Lines that nobody sees are not counted either.
    fn is_asked_for(&self, level: Level) -> bool {
        match (self, level) {
            (Self::Hook(_), Level::Print) => {
                tracing::enabled!(target: HOOK_TARGET, tracing::Level::INFO)
            }
            (Self::Hook(_), Level::Debug) => {
                tracing::enabled!(target: HOOK_TARGET, tracing::Level::DEBUG)
            }
            (_, Level::Print) => tracing::enabled!(tracing::Level::INFO),
            (_, Level::Debug) => tracing::enabled!(tracing::Level::DEBUG),
        }
    }

    fn say(&self, level: Level, line: &str) {
        match (self, level) {
            (Self::Hook(_), Level::Print) => tracing::info!(target: HOOK_TARGET, "{line}"),
            (Self::Hook(_), Level::Debug) => tracing::debug!(target: HOOK_TARGET, "{line}"),
            (_, Level::Print) => tracing::info!("{line}"),
            (_, Level::Debug) => tracing::debug!("{line}"),
        }
    }
}

impl fmt::Display for Speaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Script => f.write_str("script"),
            Self::Rule(stage) => write!(f, "rule {stage}"),
            Self::Hook(name) => write!(f, "hook {name}"),
        }
    }
}

impl Window {
    /// Counts a line. Says whether it is shown, and how many of the interval before were not.
    fn count(&mut self) -> (bool, u64) {
        let is_over = self.began.as_ref().is_none_or(|began| began.elapsed() >= INTERVAL);
        let withheld = if is_over { std::mem::take(self).withheld } else { 0 };
        self.began.get_or_insert_with(Stopwatch::start);
        let is_shown = self.shown < LINES_MAX;
        if is_shown {
            self.shown += 1;
        } else {
            self.withheld += 1;
        }
        (is_shown, withheld)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Function, Runner, Sandbox, Script};
    use super::*;
    use crate::problem::SourceText;

    const RUN: Function = Function { name: "run", parameters: &[], required: true };

    /// Lines of the log, without their times.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Log {
        fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(line)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl Log {
        /// What is logged while something runs.
        fn of(level: tracing::Level, work: impl FnOnce()) -> Vec<String> {
            let log = Self::default();
            let writer = log.clone();
            let subscriber = tracing_subscriber::fmt()
                .with_max_level(level)
                .with_writer(move || writer.clone())
                .with_ansi(false)
                .without_time()
                .with_target(false)
                .finish();
            tracing::subscriber::with_default(subscriber, work);
            let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
            text.lines().map(|line| line.trim().to_owned()).collect()
        }
    }

    fn runner(body: &str) -> Runner {
        let text = format!("fn run() {{\n{body}\n}}");
        let source = SourceText { name: "rules/x.rhai".to_owned(), text };
        let sandbox = Sandbox::new(0).of_rule("high_value");
        let script = Script::compile(Excerpt::whole(Arc::new(source)), sandbox, &[RUN]);
        Runner::new(script.unwrap_or_else(|problems| panic!("{problems}")))
    }

    fn run(runner: &mut Runner) {
        drop(runner.call(RUN.name, ()).unwrap());
    }

    #[test]
    fn every_kind_of_value_is_printed_with_its_rule_and_line() {
        let body = "print(1); print(2.5); print(true); print('c');
            print(\"text\"); print(()); print([1, \"a\"]);
            print(#{ a: 1 }); print(0..3); print(0..=3); print(|x| x); print();
            let nested = [[1]]; print(nested[0][0]); debug(\"seen\");";
        let said = Log::of(tracing::Level::INFO, || run(&mut runner(body)));
        let line = |number: u32, text: &str| {
            format!("INFO rule high_value (rules/x.rhai:{number}): {text}").trim().to_owned()
        };
        let expected = [
            (2, "1"),
            (2, "2.5"),
            (2, "true"),
            (2, "c"),
            (3, "text"),
            (3, "()"),
            (3, "[1, \"a\"]"),
            (4, "#{\"a\": 1}"),
            (4, "0..3"),
            (4, "0..=3"),
        ];
        let expected: Vec<_> = expected.map(|(number, text)| line(number, text)).into();
        assert_eq!(said[..expected.len()], expected);
        let rest = &said[expected.len()..];
        assert!(rest[0].starts_with("INFO rule high_value (rules/x.rhai:4): Fn"), "{}", rest[0]);
        assert_eq!(rest[1..], [line(4, ""), line(5, "1")]);
        let said = Log::of(tracing::Level::DEBUG, || run(&mut runner("debug(\"seen\");")));
        assert_eq!(said, ["DEBUG rule high_value (rules/x.rhai:2): \"seen\""]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rule_that_prints_for_every_event_is_cut_short_each_second() {
        let mut runner = runner("for n in 0..50 { print(n); }");
        let said = Log::of(tracing::Level::INFO, || run(&mut runner));
        assert_eq!(said.len(), 20);
        tokio::time::advance(INTERVAL).await;
        let said = Log::of(tracing::Level::INFO, || run(&mut runner));
        assert_eq!(said[0], "INFO rule high_value: ... 30 more");
        assert_eq!(said.len(), 21);
        let said = Log::of(tracing::Level::INFO, || drop(runner));
        assert_eq!(said, ["INFO rule high_value: ... 30 more"]);
    }

    #[test]
    fn a_script_that_is_tried_out_says_nothing() {
        let mut runner = runner("print(1);");
        let said = Log::of(tracing::Level::INFO, || {
            runner.silence();
            run(&mut runner);
        });
        assert!(said.is_empty(), "{said:?}");
    }
}
