//! `switch`: which branch a value takes is asked of the interpreter once for each value, and then
//! known. (Its cases are known to it as hashes only.)

use std::sync::Arc;

use rhai::{AST, Engine, Expr, Module, Position, Scope, Stmt, SwitchCasesCollection};

use super::frame::{Flow, Step};
use super::lower::{Lowered, Lowering, because};
use crate::event::Value;
use crate::script::values::to_rhai;

/// How many values a switch knows by heart; others are asked for each time.
const VALUES_KNOWN_MAX: usize = 64;

impl Lowering<'_> {
    pub(super) fn switch(
        &mut self,
        value: &Expr,
        cases: &SwitchCasesCollection,
        position: Position,
    ) -> Lowered<Step> {
        let has_guards =
            cases.expressions.iter().any(|case| !matches!(case.lhs, Expr::BoolConstant(true, _)));
        if has_guards {
            return because("a `switch` with conditions", position);
        }
        let mut value = self.operand(value)?;
        let mut branches = Vec::with_capacity(cases.expressions.len());
        for case in &cases.expressions {
            branches.push(self.step(&case.rhs)?);
        }
        let mut choice = Choice::new(self.source.engine, cases);
        Ok(Box::new(move |frame| {
            let branch = if value.is_code() {
                choice.of(&value.eval(frame)?)?
            } else {
                choice.of(value.peek(frame)?)?
            };
            match branch {
                Branch::Of(case) => branches.get_mut(case)?(frame),
                Branch::NoCase => Some(Flow::Continue(Value::Null)),
            }
        }))
    }
}

/// Which branch a value takes.
struct Choice {
    engine: Arc<Engine>,
    /// The same switch, whose branches give their own numbers.
    cases: SwitchCasesCollection,
    known: Vec<(Value, Branch)>,
}

/// Where a switch goes on.
#[derive(Clone, Copy)]
enum Branch {
    Of(usize),
    NoCase,
}

impl Choice {
    fn new(engine: &Arc<Engine>, cases: &SwitchCasesCollection) -> Self {
        let mut cases = cases.clone();
        for (number, case) in cases.expressions.iter_mut().enumerate() {
            case.rhs = Expr::IntegerConstant(number as i64, Position::NONE);
        }
        Self { engine: Arc::clone(engine), cases, known: Vec::new() }
    }

    fn of(&mut self, value: &Value) -> Option<Branch> {
        if let Some((_, branch)) = self.known.iter().find(|(known, _)| is_same(known, value)) {
            return Some(*branch);
        }
        if matches!(value, Value::List(_) | Value::Map(_)) {
            return None;
        }
        let asked = Expr::DynamicConstant(Box::new(to_rhai(value)), Position::NONE);
        let switch = Stmt::Switch(Box::new((asked, self.cases.clone())), Position::NONE);
        let asked = AST::new([switch], Module::new());
        let branch = self.engine.eval_ast_with_scope::<rhai::Dynamic>(&mut Scope::new(), &asked);
        let branch = match branch.ok()?.as_int() {
            Ok(case) => Branch::Of(usize::try_from(case).ok()?),
            Err(_) => Branch::NoCase,
        };
        if self.known.len() < VALUES_KNOWN_MAX {
            self.known.push((value.clone(), branch));
        }
        Some(branch)
    }
}

/// Whether two values are the same, of the same type.
fn is_same(one: &Value, two: &Value) -> bool {
    match (one, two) {
        (Value::Float(one), Value::Float(two)) => one.to_bits() == two.to_bits(),
        _ => one == two,
    }
}
