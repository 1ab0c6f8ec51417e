//! The engine that scripts run in: no files, network, clock or ambient randomness; everything
//! bounded.

use std::sync::Arc;

use rhai::packages::{
    BasicArrayPackage, BasicFnPackage, BasicIteratorPackage, BasicMapPackage, BasicMathPackage,
    BasicStringPackage, LanguageCorePackage, LogicPackage, MoreStringPackage, Package,
};
use rhai::{Engine, OptimizationLevel, module_resolvers::DummyModuleResolver};

use super::print::Speaker;
use super::random::{self, Randomness};
use super::tables::Tables;
use super::{event, output, state};

/// Operations of one call: an endless loop is stopped after some ten milliseconds. A copy is one
/// operation however large it is, so that the bounds on sizes below are bounds on time, too.
const OPERATIONS_MAX: u64 = 200_000;
/// How deep functions may call each other.
pub(super) const CALLS_MAX: usize = 32;
/// How deep an expression may nest, outside and inside a function.
pub(super) const EXPRESSION_DEPTH_MAX: (usize, usize) = (64, 48);
/// The longest string, in bytes.
pub(super) const STRING_BYTES_MAX: usize = 1 << 16;
/// How many elements an array or a map may have, nested ones included.
pub(super) const ELEMENTS_MAX: usize = 4_096;
/// How many variables may be in scope.
pub(super) const VARIABLES_MAX: usize = 256;
/// How many functions a script may define.
const FUNCTIONS_MAX: usize = 256;

/// What the engine brings along and a script may not have: each makes a run unrepeatable, reaches
/// outside, or hides code from the checks.
const DISABLED: [&str; 6] = ["eval", "import", "export", "timestamp", "sleep", "exit"];

/// What a script has in place of something that reaches outside, for whoever tries.
pub(super) fn in_place_of(name: &str) -> Option<&'static str> {
    match name {
        "sleep" | "timestamp" => Some("a script has no clock; `event.time_ms` is the event's time"),
        "import" | "export" | "eval" => Some("a script is one text, checked before it runs"),
        "open_file" | "read_file" | "write_file" => {
            Some("a script has no files; `tables:` of a `rhai` enricher reads records for it")
        }
        _ => None,
    }
}

/// A Rhai engine for the scripts of one stage.
pub struct Sandbox {
    pub(super) engine: Engine,
    /// None where a script decides by what it is given alone.
    pub(super) randomness: Option<Randomness>,
    /// The tables that scripts look records up in.
    pub(super) tables: Option<Arc<Tables>>,
    /// Who the script is in what it prints.
    pub(super) speaker: Speaker,
}

impl Sandbox {
    /// An engine whose `rand()` and `rand_int(from, to)` derive from `seed`.
    pub fn new(seed: u64) -> Self {
        let Self { mut engine, .. } = Self::without_randomness();
        let randomness = Randomness::new(seed);
        random::register(&mut engine, &randomness);
        Self { engine, randomness: Some(randomness), tables: None, speaker: Speaker::Script }
    }

    /// Names the stage whose rule the script is, for what it prints.
    #[must_use]
    pub fn of_rule(self, stage: &str) -> Self {
        Self { speaker: Speaker::Rule(stage.to_owned()), ..self }
    }

    /// Names the hook that the script is, for what it prints.
    #[must_use]
    pub(super) fn of_hook(self, name: &'static str) -> Self {
        Self { speaker: Speaker::Hook(name), ..self }
    }

    /// An engine without `rand`: what runs in it depends on nothing but its arguments.
    pub fn without_randomness() -> Self {
        let mut engine = Engine::new_raw();
        LanguageCorePackage::new().register_into_engine(&mut engine);
        rhai::packages::ArithmeticPackage::new().register_into_engine(&mut engine);
        BasicStringPackage::new().register_into_engine(&mut engine);
        BasicIteratorPackage::new().register_into_engine(&mut engine);
        BasicFnPackage::new().register_into_engine(&mut engine);
        LogicPackage::new().register_into_engine(&mut engine);
        BasicMathPackage::new().register_into_engine(&mut engine);
        BasicArrayPackage::new().register_into_engine(&mut engine);
        BasicMapPackage::new().register_into_engine(&mut engine);
        MoreStringPackage::new().register_into_engine(&mut engine);
        for symbol in DISABLED {
            engine.disable_symbol(symbol);
        }
        engine
            .set_module_resolver(DummyModuleResolver::new())
            .set_strict_variables(true)
            .set_fast_operators(true)
            .set_optimization_level(OptimizationLevel::None)
            .set_max_operations(OPERATIONS_MAX)
            .set_max_call_levels(CALLS_MAX)
            .set_max_expr_depths(EXPRESSION_DEPTH_MAX.0, EXPRESSION_DEPTH_MAX.1)
            .set_max_string_size(STRING_BYTES_MAX)
            .set_max_array_size(ELEMENTS_MAX)
            .set_max_map_size(ELEMENTS_MAX)
            .set_max_variables(VARIABLES_MAX)
            .set_max_functions(FUNCTIONS_MAX)
            .set_max_modules(0);
        event::register(&mut engine);
        state::register(&mut engine);
        output::register(&mut engine);
        Self { engine, randomness: None, tables: None, speaker: Speaker::Script }
    }
}
