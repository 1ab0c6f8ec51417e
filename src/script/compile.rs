//! Script text to a checked AST; what is wrong with it is reported at once, at its places.

use std::collections::BTreeMap;
use std::sync::Arc;

use rhai::{AST, Engine, OptimizationLevel, ParseError, ParseErrorType, Position, Scope, Stmt};

use super::call::display;
use super::check;
use super::compiled::{Compiled, Source};
use super::print::Printer;
use super::sandbox::EXPRESSION_DEPTH_MAX;
use super::tables::Tables;
use super::{PayloadFields, Randomness, Sandbox, event, fuse, state};
use crate::event::{Key, mix};
use crate::problem::{Excerpt, Place, Problem, Problems, did_you_mean};

/// How many problems of one script are reported.
const PROBLEMS_MAX: usize = 20;

/// A function that a component calls.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// Its parameters, as they are best called; `event` is checked for known properties.
    pub parameters: &'static [&'static str],
    /// Whether a script without it is wrong.
    pub required: bool,
}

impl Function {
    /// `fn enrich(event)`
    fn signature(&self) -> String {
        format!("fn {}({})", self.name, self.parameters.join(", "))
    }
}

/// A script that passed its checks.
pub struct Script {
    pub(super) engine: Arc<Engine>,
    pub(super) ast: AST,
    pub(super) excerpt: Arc<Excerpt>,
    constants: Scope<'static>,
    pub(super) printer: Printer,
    pub(super) payload_fields: Arc<PayloadFields>,
    randomness: Option<Randomness>,
    tables: Option<Arc<Tables>>,
}

impl Script {
    /// What the script draws from, if it draws random numbers at all.
    pub fn randomness(&self) -> Option<Randomness> {
        self.randomness.clone()
    }

    /// Tells the script from another version of it.
    pub fn fingerprint(&self) -> String {
        let hash = self.excerpt.text.bytes().fold(0, |hash, byte| mix(hash ^ u64::from(byte)));
        format!("{hash:016x}")
    }

    /// Compiles a script and checks that it has the functions that will be called.
    pub fn compile(
        excerpt: Excerpt,
        sandbox: Sandbox,
        functions: &[Function],
    ) -> Result<Self, Problems> {
        let Sandbox { mut engine, randomness, tables, speaker } = sandbox;
        let mut problems = Vec::new();
        let constants = constants(&engine, &excerpt, &mut problems);
        if !problems.is_empty() && constants.is_empty() {
            return Err(Problems(problems));
        }
        let ast =
            parse(&excerpt, &mut problems, |text| engine.compile_with_scope(&constants, text));
        let Some(ast) = ast else { return Err(Problems(problems)) };

        check_functions(&ast, &excerpt, functions, &mut problems);
        check::calls(&engine, &ast, &excerpt, &mut problems);
        check::event_properties(&ast, &excerpt, functions, &mut problems);
        if !problems.is_empty() {
            problems.truncate(PROBLEMS_MAX);
            return Err(Problems(problems));
        }
        let payload_fields = PayloadFields::of(&ast, functions);
        let places: Vec<Position> = check::functions_with("event", &ast, functions)
            .iter()
            .flat_map(|(alone, event)| fuse::places(alone, event))
            .collect();
        let fused = engine.compile_with_scope(&constants, fuse::fuse(&excerpt.text, &places));
        let ast = fused.unwrap_or(ast);
        register_fields(&mut engine, &ast, &excerpt)?;
        let ast = engine.optimize_ast(&constants, ast, OptimizationLevel::Simple);
        resolve_constants(&mut engine, &ast, constants.clone());
        let randomness = randomness.filter(|_| excerpt.text.contains("rand"));
        let (excerpt, payload_fields) = (Arc::new(excerpt), Arc::new(payload_fields));
        let printer = Printer::new(speaker, Arc::clone(&excerpt));
        printer.register(&mut engine);
        let engine = Arc::new(engine);
        Ok(Self { engine, ast, excerpt, constants, printer, payload_fields, randomness, tables })
    }

    /// Which fields of payloads it reads and writes.
    pub fn payload_fields(&self) -> Arc<PayloadFields> {
        Arc::clone(&self.payload_fields)
    }

    /// Lowers one of its functions to closures, or says why the interpreter has to run it.
    pub(super) fn lower(
        &self,
        function: &Function,
        changes_event: bool,
    ) -> Result<Compiled, String> {
        let source = Source {
            engine: &self.engine,
            ast: &self.ast,
            constants: &self.constants,
            tables: self.tables.as_ref(),
            randomness: self.randomness.as_ref(),
            changes_event,
        };
        Compiled::function(&source, function.name, function.parameters).map_err(|reason| {
            let place = match reason.position.line() {
                Some(_) => display(&place(&self.excerpt, reason.position, 0)),
                None => String::new(),
            };
            format!("{}{place}", reason.what)
        })
    }

    /// Whether the script has a function of that name.
    pub fn has(&self, function: &str) -> bool {
        self.ast.iter_functions().any(|found| found.name == function)
    }

    /// Functions of the script that nothing calls, and that are likely slips of those a component
    /// would call and the script does not have.
    pub fn misnamed(&self, functions: &[Function]) -> Vec<Problem> {
        let text = &self.excerpt.text;
        let mut words: BTreeMap<&str, usize> = BTreeMap::new();
        for word in text.split(|letter: char| !(letter.is_alphanumeric() || letter == '_')) {
            *words.entry(word).or_default() += 1;
        }
        // A name that stands there once is only defined.
        let alone = self.ast.iter_functions().map(|found| found.name);
        let alone = alone.filter(|name| words.get(name) == Some(&1));
        let missing = functions.iter().filter(|function| !self.has(function.name));
        let missing: Vec<&str> = missing.map(|function| function.name).collect();
        alone
            .filter_map(|name| {
                let meant = did_you_mean(name, missing.iter().copied())?;
                let problem = Problem::warning(format!("`{name}` is never called"));
                let place = function_place(&self.excerpt, name);
                Some(problem.at(place).help(format!("did you mean `{meant}`?")))
            })
            .collect()
    }

    /// Where it calls a function or method of that name, if it does.
    pub fn place_of_call(&self, function: &str) -> Option<Place> {
        let position = check::position_of_call(&self.ast, function)?;
        Some(place(&self.excerpt, position, function.chars().count()))
    }
}

/// The constants at the top of a script, for all its functions to see.
fn constants(engine: &Engine, excerpt: &Excerpt, problems: &mut Vec<Problem>) -> Scope<'static> {
    let mut scope = Scope::new();
    let mut lenient = Engine::new_raw();
    lenient.set_optimization_level(OptimizationLevel::None);
    lenient.set_max_expr_depths(EXPRESSION_DEPTH_MAX.0, EXPRESSION_DEPTH_MAX.1);
    let ast = match lenient.compile(&excerpt.text) {
        Ok(ast) => ast,
        // Without its constants, everything that names one would be reported, too.
        Err(error) => {
            problems.push(syntax_problem(&error, excerpt));
            return scope;
        }
    };
    for statement in ast.statements() {
        let position = statement.position();
        if let Stmt::Var(definition, flags, _) = statement
            && flags.contains(rhai::ASTFlags::CONSTANT)
        {
            let name = definition.0.name.to_string();
            let value = AST::new([Stmt::Expr(Box::new(definition.1.clone()))], rhai::Module::new());
            match engine.eval_ast_with_scope::<rhai::Dynamic>(&mut scope, &value) {
                Ok(value) => {
                    scope.push_constant_dynamic(name, value);
                }
                Err(error) => problems.push(
                    Problem::error(format!("the constant `{name}` cannot be computed: {error}"))
                        .at(place(excerpt, position, name.chars().count())),
                ),
            }
        } else if !matches!(statement, Stmt::Noop(_)) {
            problems.push(
                Problem::error("only functions and constants may stand at the top of a script")
                    .at(place(excerpt, position, 1))
                    .help("move it into a function; what is to last goes into `state`"),
            );
        }
    }
    scope
}

/// The optimiser puts constants in place, but not where they are indexed (`ZONES[0]`); only scripts
/// that do so pay for having each variable looked at.
fn resolve_constants(engine: &mut Engine, ast: &AST, constants: Scope<'static>) {
    if !check::names_a_variable(ast, |name| constants.contains(name)) {
        return;
    }
    #[expect(deprecated, reason = "not deprecated, but marked as volatile; the version is locked")]
    engine.on_var(move |name, index, _| {
        // What has an index is a local variable, whatever its name.
        Ok(if index == 0 { constants.get(name).cloned() } else { None })
    });
}

/// Parses; variables that do not exist are all reported, where the parser stops at the first.
pub(super) fn parse(
    excerpt: &Excerpt,
    problems: &mut Vec<Problem>,
    compile: impl Fn(&str) -> Result<AST, ParseError>,
) -> Option<AST> {
    let mut text = excerpt.text.clone();
    loop {
        let error = match compile(&text) {
            Ok(ast) => return Some(ast),
            Err(error) => error,
        };
        let undefined = match error.err_type() {
            ParseErrorType::VariableUndefined(name) => Some(name.clone()),
            _ => None,
        };
        match undefined {
            Some(name) if problems.len() < PROBLEMS_MAX => {
                let length = name.chars().count();
                let known = check::names_in_scope(&excerpt.text);
                let help = did_you_mean(&name, known.iter().map(String::as_str))
                    .map(|close| format!("did you mean `{close}`?"));
                let mut problem = Problem::error(format!("`{name}` is not defined")).at(place(
                    excerpt,
                    error.position(),
                    length,
                ));
                problem.help = help;
                problems.push(problem);
                // Something of the same length that parses wherever a variable is read.
                if !blank(&mut text, error.position(), &name) {
                    return None;
                }
            }
            _ => {
                // After a blanked name the error may be of our making; then the names are enough.
                if text == excerpt.text || problems.is_empty() {
                    problems.push(syntax_problem(&error, excerpt));
                }
                return None;
            }
        }
    }
}

/// Replaces the name at a position by a number of its length.
fn blank(text: &mut String, position: Position, name: &str) -> bool {
    let (Some(line), Some(column)) = (position.line(), position.position()) else { return false };
    let line_start: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
    let rest = &text[line_start..];
    let Some((byte, _)) = rest.char_indices().nth(column - 1) else { return false };
    let start = line_start + byte;
    if !text[start..].starts_with(name) {
        return false;
    }
    let number = format!("{:<width$}", 0, width = name.chars().count());
    text.replace_range(start..start + name.len(), &number);
    true
}

fn syntax_problem(error: &ParseError, excerpt: &Excerpt) -> Problem {
    let problem = Problem::error(in_our_words(&error.err_type().to_string())).at(place(
        excerpt,
        error.position(),
        1,
    ));
    match error.err_type() {
        ParseErrorType::Reserved(name) => match super::sandbox::in_place_of(name) {
            Some(help) => problem.help(help),
            None => problem,
        },
        ParseErrorType::UnexpectedEOF => problem.help("is a `}` or a `)` missing?"),
        _ => problem,
    }
}

fn check_functions(
    ast: &AST,
    excerpt: &Excerpt,
    functions: &[Function],
    problems: &mut Vec<Problem>,
) {
    for function in functions {
        let wanted = function.parameters.len();
        let found: Vec<usize> = ast
            .iter_functions()
            .filter(|found| found.name == function.name)
            .map(|found| found.params.len())
            .collect();
        if found.contains(&wanted) || found.is_empty() && !function.required {
            continue;
        }
        let Some(found) = found.first() else {
            let mut problem = Problem::error(format!("`{}` is missing", function.signature()))
                .at(excerpt.place(1, 1, 0));
            let defined: Vec<&str> = ast.iter_functions().map(|found| found.name).collect();
            if let Some(close) = did_you_mean(function.name, defined) {
                problem = problem
                    .at(function_place(excerpt, close))
                    .help(format!("rename `{close}` to `{}`", function.name));
            }
            problems.push(problem);
            continue;
        };
        let plural = if wanted == 1 { "parameter" } else { "parameters" };
        problems.push(
            Problem::error(format!("`{}` takes {wanted} {plural}, not {found}", function.name))
                .at(function_place(excerpt, function.name))
                .help(format!("write `{}`", function.signature())),
        );
    }
}

/// The name in `fn name(`.
pub(super) fn function_place(excerpt: &Excerpt, name: &str) -> Option<Place> {
    let lines = excerpt.text.lines().enumerate();
    let mut definitions = lines.flat_map(|(line, text)| {
        text.match_indices("fn ").map(move |(at, found)| (line, text.split_at(at + found.len())))
    });
    definitions.find_map(|(line, (before, after))| {
        let at = after.trim_start();
        let rest = at.strip_prefix(name)?.trim_start();
        if !rest.starts_with('(') {
            return None;
        }
        let column = before.chars().count() + (after.len() - at.len());
        Some(excerpt.place(line + 1, column + 1, name.chars().count()))
    })
}

/// Gives each name that a script writes after a dot a property of payloads and states.
pub(super) fn register_fields(
    engine: &mut Engine,
    ast: &AST,
    excerpt: &Excerpt,
) -> Result<(), Problems> {
    for (name, position) in check::properties(ast) {
        let intern = |name: &str| {
            Key::intern(name).map_err(|error| {
                Problem::error(error.to_string()).at(place(excerpt, position, name.chars().count()))
            })
        };
        if let Some(field) = name.strip_prefix(fuse::PREFIX) {
            event::register_fused(engine, &name, intern(field)?);
        }
        let key = intern(&name)?;
        event::register_field(engine, &name, key);
        state::register_field(engine, &name, key);
    }
    Ok(())
}

/// The place of so many characters from a position; the excerpt's start where it is unknown.
pub(super) fn place(excerpt: &Excerpt, position: Position, length: usize) -> Place {
    excerpt.place(position.line().unwrap_or(1), position.position().unwrap_or(1), length)
}

/// A message of the interpreter as ours are: lowercase, backticks.
pub(super) fn in_our_words(message: &str) -> String {
    let quoted = message.replace('\'', "`");
    let mut letters = quoted.chars();
    let first = letters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().collect::<String>() + letters.as_str().trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::SourceText;

    const ON_EVENT: Function =
        Function { name: "on_event", parameters: &["event", "state", "out"], required: true };
    const ON_TIMER: Function =
        Function { name: "on_timer", parameters: &["name", "state", "out"], required: false };

    fn compile(text: &str) -> Result<Script, Problems> {
        let source = SourceText { name: "rules/x.rhai".to_owned(), text: text.to_owned() };
        Script::compile(Excerpt::whole(Arc::new(source)), Sandbox::new(0), &[ON_EVENT, ON_TIMER])
    }

    /// What is reported: the line, the message, what the caret underlines, and the help.
    fn problems(text: &str) -> Vec<String> {
        let seen = |problem: &Problem| {
            let place = problem.place.clone().unwrap();
            let line = place.source.text[..place.span.start].matches('\n').count() + 1;
            let help = problem.help.clone().unwrap_or_default();
            format!("{line}: {} [{}] {help}", problem.message, &place.source.text[place.span])
        };
        compile(text).err().unwrap().0.iter().map(seen).collect()
    }

    #[test]
    fn all_that_is_wrong_with_a_script_is_reported_at_its_places() {
        assert_eq!(
            problems(
                "const LIMIT = 3;\n\
                 fn on_event(ev, state) {\n\
                 \x20   let total = ev.payload.total + LIMT + totl;\n\
                 \x20   out.emitt(\"x\", #{});\n\
                 \x20   lookup_all(total);\n\
                 }\n\
                 fn on_timers(name, state, out) { }"
            ),
            [
                "3: `LIMT` is not defined [LIMT] did you mean `LIMIT`?",
                "3: `totl` is not defined [totl] did you mean `total`?",
                "4: `out` is not defined [out] ",
                "2: `on_event` takes 3 parameters, not 2 [on_event] write `fn on_event(event, state, out)`",
                "4: there is no function `emitt` [emitt] did you mean `emit`?",
                "5: there is no function `lookup_all` [lookup_all] ",
            ]
        );
        assert_eq!(
            problems("// a rule\nfn on_evnt(event, state, out) { }"),
            [
                "2: `fn on_event(event, state, out)` is missing [on_evnt] rename `on_evnt` to `on_event`"
            ]
        );
        assert_eq!(
            problems("fn on_event(e, state, out) { e.sesion_id == e.payload.x; out.emit(1); }"),
            [
                "1: `emit` takes 2 or 3 arguments, not 1 [emit] ",
                "1: an event has no field `sesion_id` [sesion_id] did you mean `session_id`?",
            ]
        );
        assert_eq!(
            problems("fn on_event(event, state, out) {\n    let x = ;\n}"),
            ["2: unexpected `;` [;] "]
        );
    }

    #[test]
    fn what_reaches_outside_does_not_compile() {
        for call in ["sleep(1)", "timestamp()", "eval(\"1\")", "exit()", "open_file(\"x\")"] {
            let text = format!("fn on_event(event, state, out) {{ let x = {call}; }}");
            assert!(compile(&text).is_err(), "{call}");
        }
        assert!(compile("import \"x\" as y; fn on_event(event, state, out) { }").is_err());
        let import = "fn on_event(event, state, out) { import \"x\" as y; }";
        assert!(problems(import)[0].contains("`import`"), "{:?}", problems(import));
        assert_eq!(
            problems("let x = 1;\nfn on_event(event, state, out) { }"),
            [
                "1: only functions and constants may stand at the top of a script [l] move it into a \
              function; what is to last goes into `state`"
            ]
        );
    }

    #[test]
    fn a_script_with_closures_constants_and_helpers_compiles() {
        let text = "const A = 2 * 3; const B = [A, 1]; const C = #{ x: B };
            fn on_event(event, state, out) {
                let sum = B.reduce(|sum, v| sum + v, 0);
                let n = C.x[0] + helper(sum) + event.payload.items.filter(|i| i > A).len();
                for (value, i) in B { n += value * i; }
                switch n { 1 => print(n), _ => debug(`${n}`) }
                try { throw n } catch (error) { state.error = error; }
            }
            fn helper(x) { x.max(1) }";
        assert!(compile(text).is_ok(), "{}", compile(text).err().unwrap());
    }
}
