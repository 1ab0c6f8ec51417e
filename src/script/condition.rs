//! `when:` and the `filter` enricher: a Rhai expression over `event`, entered only for the event
//! types that it can be true of.

pub(super) mod types;

use std::sync::Arc;

use rhai::{AST, Dynamic, Engine, Expr, Expression, Position, Scope, Stmt};

use super::compile::{parse, register_fields};
use super::compiled::{CompiledTest, Scratch, Source};
use super::print::{Printer, Speaker};
use super::{EventHandle, Runner, Sandbox, check, fuse};
use crate::event::{Event, Key};
use crate::failure::Failure;
use crate::problem::{Excerpt, Problem, Problems, Severity};

/// A compiled condition. Copies are independent: each has an event of its own in its hands.
pub struct Condition {
    compiled: Arc<Compiled>,
    /// None where the type alone decides.
    evaluator: Option<Evaluator>,
}

struct Compiled {
    engine: Arc<Engine>,
    ast: AST,
    expression: Expr,
    excerpt: Arc<Excerpt>,
    printer: Printer,
    /// The only types it can be true of; none for any.
    types: Option<Box<[Key]>>,
    /// Whether it is true of all events of those types.
    types_decide: bool,
    warnings: Problems,
}

struct Evaluator {
    /// None where the interpreter has to say each time.
    compiled: Option<CompiledTest>,
    scratch: Scratch,
    runner: Runner,
    expression: Expr,
    event: EventHandle,
}

impl Condition {
    /// Compiles an expression, and checks the names in it against the envelope and, where it pins
    /// the event's type, against that type's payload.
    pub fn compile(excerpt: &Excerpt) -> Result<Self, Problems> {
        let mut engine = Sandbox::without_randomness().engine;
        let mut scope = Scope::new();
        scope.push("event", ());
        let mut problems = Vec::new();
        let ast = parse(excerpt, &mut problems, |text| {
            engine.compile_expression_with_scope(&scope, text)
        });
        let Some(ast) = ast else { return Err(Problems(problems)) };
        let Some(Stmt::Expr(expression)) = ast.statements().first() else {
            return Err(Problem::error("the condition is empty").at(excerpt.place(1, 1, 0)).into());
        };
        check::calls(&engine, &ast, excerpt, &mut problems);
        types::check(&ast, expression, excerpt, &mut problems);
        if problems.iter().any(|problem| problem.severity == Severity::Error) {
            return Err(Problems(problems));
        }

        let pinned = types::pinned(expression);
        let types_decide = types::decide(expression);
        let fused = fuse::fuse(&excerpt.text, &fuse::places(&ast, "event"));
        let fused = engine.compile_expression_with_scope(&scope, fused).unwrap_or(ast.clone());
        register_fields(&mut engine, &fused, excerpt)?;
        let expression = match fused.statements().first() {
            Some(Stmt::Expr(fused)) => (**fused).clone(),
            _ => (**expression).clone(),
        };
        let types =
            pinned.map(|names| names.iter().filter_map(|name| Key::intern(name).ok()).collect());
        let warnings = Problems(problems);
        let excerpt = Arc::new(excerpt.clone());
        let printer = Printer::new(Speaker::Script, Arc::clone(&excerpt));
        printer.register(&mut engine);
        let engine = Arc::new(engine);
        Ok(Self::with(Arc::new(Compiled {
            engine,
            ast,
            expression,
            excerpt,
            printer,
            types,
            types_decide,
            warnings,
        })))
    }

    /// What is hardly meant, but may be.
    pub fn warnings(&self) -> &Problems {
        &self.compiled.warnings
    }

    /// The only types of events that it can be true of; none where it does not say.
    pub fn types(&self) -> Option<&[Key]> {
        self.compiled.types.as_deref()
    }

    fn with(compiled: Arc<Compiled>) -> Self {
        let evaluator = (!compiled.types_decide).then(|| {
            let event = EventHandle::new(false);
            let Compiled { engine, ast, excerpt, printer, .. } = &*compiled;
            let (engine, excerpt) = (Arc::clone(engine), Arc::clone(excerpt));
            let mut runner = Runner::with_ast(engine, ast, excerpt, printer.clone());
            runner.scope_mut().push_dynamic("event", Dynamic::from(event.clone()));
            let source = Source {
                engine: &compiled.engine,
                ast: &compiled.ast,
                constants: &Scope::new(),
                tables: None,
                randomness: None,
                changes_event: false,
            };
            Evaluator {
                compiled: CompiledTest::expression(&source, &compiled.expression).ok(),
                scratch: Scratch::default(),
                runner,
                expression: compiled.expression.clone(),
                event,
            }
        });
        Self { compiled, evaluator }
    }

    /// Adds the places of the events for which it is true to `selected`, and of those on which it
    /// failed to `failed`. The events are lent to the script, and come back as they were.
    pub fn select(
        &mut self,
        events: &mut [Event],
        selected: &mut Vec<u32>,
        failed: &mut Vec<(u32, Failure)>,
    ) {
        for (place, event) in events.iter_mut().enumerate() {
            match self.is_true_of(event) {
                Ok(true) => selected.push(place as u32),
                Ok(false) => (),
                Err(failure) => failed.push((place as u32, failure)),
            }
        }
    }

    /// Whether it is true of an event.
    pub fn is_true_of(&mut self, event: &mut Event) -> Result<bool, Failure> {
        if let Some(types) = &self.compiled.types
            && !types.contains(&event.event_type)
        {
            return Ok(false);
        }
        let Some(evaluator) = &mut self.evaluator else { return Ok(true) };
        if let Some(compiled) = &mut evaluator.compiled
            && let Some(is_true) = compiled.is_true(event, &mut evaluator.scratch)
        {
            return Ok(is_true);
        }
        evaluator.event.swap(event);
        let result = evaluator.evaluate();
        evaluator.event.swap(event);
        result
    }
}

impl Clone for Condition {
    fn clone(&self) -> Self {
        Self::with(self.compiled.clone())
    }
}

impl std::fmt::Debug for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Condition").field(&self.compiled.excerpt.text).finish()
    }
}

impl Evaluator {
    fn evaluate(&mut self) -> Result<bool, Failure> {
        let Self { runner, expression, .. } = self;
        let value =
            runner.run(|context| context.eval_expression_tree(&Expression::from(&*expression)))?;
        value.as_bool().map_err(|found| {
            let message = format!("the condition is `{found}`, neither true nor false");
            runner.failure(&message, Position::NONE)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{
        CUSTOMER_ENTERED, RECEIPT_CREATED, STORE_CLOSED, STORE_OPENED, TOTAL, Text, Timestamp,
    };
    use crate::problem::SourceText;

    /// A condition as it stands in a YAML block, indented below its key.
    fn excerpt(lines: &str) -> Excerpt {
        let head = "enrichers:\n  x:\n    when: |\n";
        let body: Vec<String> = lines.lines().map(|line| format!("      {line}\n")).collect();
        let text = format!("{head}{}", body.concat());
        let starts = text.match_indices('\n').map(|(end, _)| end + 1).skip(2);
        let line_starts = starts.map(|start| start + 6).take(lines.lines().count()).collect();
        let source = Arc::new(SourceText { name: "spec.yaml".to_owned(), text });
        Excerpt { text: lines.to_owned(), source, line_starts }
    }

    fn condition(text: &str) -> Condition {
        Condition::compile(&excerpt(text)).unwrap_or_else(|problems| panic!("{problems}"))
    }

    /// What is reported: the message, what the caret underlines, and the help.
    fn problems(text: &str) -> Vec<String> {
        let problems = Condition::compile(&excerpt(text)).unwrap_err();
        let seen = |problem: &Problem| {
            let place = problem.place.clone().unwrap();
            let help = problem.help.clone().unwrap_or_default();
            format!("{} [{}] {help}", problem.message, &place.source.text[place.span])
        };
        problems.0.iter().map(seen).collect()
    }

    fn event(event_type: Key) -> Event {
        let mut event = Event::new(event_type, Text::from("TR_1_00001"), Timestamp::from_millis(0));
        event.payload.set(TOTAL, 101_i64);
        event
    }

    #[test]
    fn a_condition_depends_on_its_event_alone() {
        assert_eq!(problems("rand() < 0.1"), ["there is no function `rand` [rand] "]);
    }

    #[test]
    fn a_condition_is_only_entered_for_the_types_it_can_be_true_of() {
        let mut condition = condition(
            "event.event_type in [\"receipt_created\", \"x\"] && event.payload.total / 0 > 1",
        );
        let mut events = [event(RECEIPT_CREATED), event(STORE_OPENED)];
        let before = events.clone();
        let (mut selected, mut failed) = (Vec::new(), Vec::new());
        condition.select(&mut events, &mut selected, &mut failed);
        assert_eq!((selected.len(), failed.len(), failed[0].0), (0, 1, 0));
        assert_eq!(failed[0].1.reason, "division by zero: 101 / 0 (spec.yaml, line 4, column 75)");
        assert_eq!(events, before);
    }

    #[test]
    fn a_condition_on_the_type_alone_needs_no_script() {
        let text = "event.event_type == \"store_opened\" || \"store_closed\" == event.event_type";
        let mut condition = condition(text);
        assert!(condition.evaluator.is_none());
        let mut truths = [RECEIPT_CREATED, STORE_OPENED, STORE_CLOSED]
            .map(|event_type| condition.is_true_of(&mut event(event_type)).unwrap());
        assert_eq!(truths, [false, true, true]);
        let mut copy = super::Condition::clone(&condition);
        truths[0] = copy.is_true_of(&mut event(CUSTOMER_ENTERED)).unwrap();
        assert!(!truths[0]);
    }

    #[test]
    fn a_negated_type_pins_nothing() {
        let mut condition =
            condition("event.event_type != \"store_opened\" && !(event.event_type == \"x\")");
        assert!(condition.is_true_of(&mut event(RECEIPT_CREATED)).unwrap());
        assert!(!condition.is_true_of(&mut event(STORE_OPENED)).unwrap());
    }

    #[test]
    fn what_is_neither_true_nor_false_is_a_failure() {
        let failure = condition("event.payload.total").is_true_of(&mut event(STORE_OPENED));
        assert_eq!(failure.unwrap_err().reason, "the condition is `i64`, neither true nor false");
    }

    #[test]
    fn a_condition_cannot_change_the_event() {
        let mut condition = condition("event.payload.remove(\"total\") == 101");
        let mut event = event(STORE_OPENED);
        assert!(condition.is_true_of(&mut event).unwrap_err().reason.contains("only be read"));
        assert_eq!(event.payload.len(), 1);
    }

    #[test]
    fn names_that_do_not_exist_are_reported_at_their_places() {
        assert_eq!(
            problems("event.typ == \"x\"\n  && evnt.payload.a > lenn(other)"),
            [
                "`evnt` is not defined [evnt] did you mean `event`?",
                "`other` is not defined [other] ",
                "there is no function `lenn` [lenn] did you mean `len`?",
                "an event has no field `typ` [typ] what is in the payload is read as \
                 `event.payload.typ`",
            ]
        );
        assert_eq!(
            problems("event.event_typ == \"x\""),
            ["an event has no field `event_typ` [event_typ] did you mean `event_type`?"]
        );
        assert_eq!(
            problems("event.event_type == \"receipt_created\" && event.payload.totl > 100"),
            ["`receipt_created` has no field `totl` [totl] did you mean `total`?"]
        );
        assert_eq!(
            problems("event.payload.total >"),
            ["script is incomplete [] is a `}` or a `)` missing?"]
        );
    }

    #[test]
    fn a_misspelt_type_and_a_field_that_another_stage_may_add_are_warnings() {
        let text = "event.event_type == \"reciept_created\"";
        assert_eq!(
            condition(text).warnings().0[0].help.as_deref(),
            Some("did you mean `receipt_created`?")
        );
        let text = "event.event_type == \"receipt_created\" && event.payload.high_value";
        assert_eq!(condition(text).warnings().0.len(), 1);
        assert!(condition("event.event_type == \"my_own\"").warnings().0.is_empty());
    }
}
