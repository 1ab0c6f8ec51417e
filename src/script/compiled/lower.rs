//! A function of the script to closures: its names, its statements. Whatever is not of the common
//! kind ends it with the reason, and the function runs interpreted.

use std::sync::Arc;

use rhai::{
    AST, ASTFlags, BinaryExpr, Engine, Expr, ImmutableString, OpAssignment, Position, Scope, Stmt,
};

use super::frame::{Code, Flow, Frame, Step, Test};
use super::operators::Arithmetic;
use super::place::{Operand, Place};
use crate::event::Value;
use crate::script::body;
use crate::script::random::Randomness;
use crate::script::tables::Tables;

/// How many expressions and statements a function may have, those of the functions that it calls
/// included: far fewer than a call may take operations, so that limit is never met.
const NODES_MAX: usize = 20_000;
/// How many names may be known at once: fewer than a script may have variables.
const NAMES_MAX: usize = 200;

/// What a function is lowered from.
pub(in crate::script) struct Source<'a> {
    pub(in crate::script) engine: &'a Arc<Engine>,
    pub(in crate::script) ast: &'a AST,
    pub(in crate::script) constants: &'a Scope<'static>,
    pub(in crate::script) tables: Option<&'a Arc<Tables>>,
    pub(in crate::script) randomness: Option<&'a Randomness>,
    /// Whether the event may be changed.
    pub(in crate::script) changes_event: bool,
}

/// Why something is not lowered, and where it stands.
pub(in crate::script) struct Reason {
    pub(in crate::script) what: String,
    pub(in crate::script) position: Position,
}

pub(super) type Lowered<T> = Result<T, Reason>;

/// It is not lowered because of this.
pub(super) fn because<T>(what: impl Into<String>, position: Position) -> Lowered<T> {
    Err(Reason { what: what.into(), position })
}

/// What a name stands for.
#[derive(Clone)]
pub(super) enum Binding {
    Event,
    State,
    Out,
    Slot(usize),
}

/// One function on its way.
pub(super) struct Lowering<'a> {
    pub(super) source: &'a Source<'a>,
    /// The names that are known, innermost last.
    pub(super) names: Vec<(ImmutableString, Binding)>,
    /// The first slot that is free, and how many were ever used.
    slots: (usize, usize),
    nodes: usize,
    /// The functions that are being lowered, each inside the one before.
    pub(super) inside: Vec<(ImmutableString, usize)>,
    /// Whether a `return` would have to leave an expression half done.
    in_expression: bool,
    /// Whether it draws random numbers.
    pub(super) draws: bool,
}

impl<'a> Lowering<'a> {
    pub(super) fn new(source: &'a Source<'a>) -> Self {
        Self {
            source,
            names: Vec::new(),
            slots: (0, 0),
            nodes: 0,
            inside: Vec::new(),
            in_expression: false,
            draws: false,
        }
    }

    /// How many slots its variables take.
    pub(super) fn slots(&self) -> usize {
        self.slots.1
    }

    /// Makes a name known until its block ends.
    pub(super) fn bind(&mut self, name: ImmutableString, binding: Binding) {
        self.names.push((name, binding));
    }

    /// A slot that is free until the block ends.
    pub(super) fn new_slot(&mut self) -> usize {
        self.slots.0 += 1;
        self.slots.1 = self.slots.1.max(self.slots.0);
        self.slots.0 - 1
    }

    /// What a variable stands for, if it is one that is known.
    pub(super) fn variable(&self, expression: &Expr) -> Option<Binding> {
        self.named(name_of(expression)?)
    }

    pub(super) fn named(&self, name: &str) -> Option<Binding> {
        self.names.iter().rev().find(|(known, _)| known == name).map(|(_, found)| found.clone())
    }

    /// Counts something that is lowered.
    pub(super) fn count(&mut self, position: Position) -> Lowered<()> {
        self.nodes += 1;
        if self.nodes > NODES_MAX || self.names.len() > NAMES_MAX {
            return because("it is too large, with what it calls", position);
        }
        Ok(())
    }

    /// The body of a function of the script, with its parameters bound: what a `return` in it
    /// ends.
    pub(super) fn body(&mut self, name: &str, parameters: usize) -> Lowered<Step> {
        let statements = body::statements(self.source.ast, name, parameters);
        let outer = std::mem::replace(&mut self.in_expression, false);
        let body = self.block(&statements);
        self.in_expression = outer;
        body
    }

    /// Some statements, whose names end with them.
    pub(super) fn block(&mut self, statements: &[Stmt]) -> Lowered<Step> {
        let (names, slots) = (self.names.len(), self.slots.0);
        let steps: Lowered<Vec<Step>> =
            statements.iter().map(|statement| self.statement(statement)).collect();
        self.names.truncate(names);
        self.slots.0 = slots;
        let mut steps = steps?;
        Ok(match steps.len() {
            0 => nothing(),
            1 => steps.remove(0),
            _ => Box::new(move |frame| {
                let mut last = Value::Null;
                for step in &mut steps {
                    match step(frame)? {
                        Flow::Continue(value) => last = value,
                        ended @ Flow::Break(_) => return Some(ended),
                    }
                }
                Some(Flow::Continue(last))
            }),
        })
    }

    fn statement(&mut self, statement: &Stmt) -> Lowered<Step> {
        let position = statement.position();
        self.count(position)?;
        match statement {
            Stmt::Noop(_) => Ok(nothing()),
            Stmt::Expr(expression) => self.step(expression),
            Stmt::Block(block) => self.block(block.statements()),
            Stmt::FnCall(call, position) => self.call(call, *position).map(going_on),
            Stmt::If(flow, _) => {
                let test = self.test(&flow.expr)?;
                let body = self.block(flow.body.statements())?;
                let branch = self.block(flow.branch.statements())?;
                Ok(branches(test, body, branch))
            }
            Stmt::Switch(switch, _) => self.switch(&switch.0, &switch.1, position),
            Stmt::Var(definition, _, _) => {
                let (name, value, _) = &**definition;
                let mut value = self.value(value)?;
                let slot = self.new_slot();
                self.bind(name.name.clone(), Binding::Slot(slot));
                Ok(Box::new(move |frame| {
                    frame.scratch.slots[slot] = value(frame)?;
                    Some(Flow::Continue(Value::Null))
                }))
            }
            Stmt::Assignment(assignment) => {
                let (operator, BinaryExpr { lhs, rhs }) = &**assignment;
                self.assignment(operator, lhs, rhs)
            }
            Stmt::Return(value, flags, _) => self.returned(value.as_deref(), *flags, position),
            Stmt::While(..) | Stmt::Do(..) | Stmt::For(..) | Stmt::BreakLoop(..) => {
                because("a loop", position)
            }
            Stmt::TryCatch(..) => because("`try`", position),
            _ => because("a statement of this kind", position),
        }
    }

    fn returned(
        &mut self,
        value: Option<&Expr>,
        flags: ASTFlags,
        position: Position,
    ) -> Lowered<Step> {
        if flags.contains(ASTFlags::BREAK) {
            // The interpreter says what was thrown, and where.
            return Ok(Box::new(|_| None));
        }
        if self.in_expression {
            return because("a `return` inside an expression", position);
        }
        let Some(value) = value else { return Ok(Box::new(|_| Some(Flow::Break(Value::Null)))) };
        let mut value = self.value(value)?;
        Ok(Box::new(move |frame| value(frame).map(Flow::Break)))
    }

    /// An expression where a statement may stand: it may hold a `return`.
    pub(super) fn step(&mut self, expression: &Expr) -> Lowered<Step> {
        match expression {
            Expr::Stmt(block) => self.block(block.statements()),
            _ => self.value(expression).map(going_on),
        }
    }

    /// Statements in the middle of an expression.
    pub(super) fn block_in_expression(&mut self, statements: &[Stmt]) -> Lowered<Code> {
        let outer = std::mem::replace(&mut self.in_expression, true);
        let step = self.block(statements);
        self.in_expression = outer;
        step.map(value_of)
    }

    fn assignment(&mut self, operator: &OpAssignment, to: &Expr, from: &Expr) -> Lowered<Step> {
        let arithmetic = match operator.get_op_assignment_info() {
            None => None,
            Some((.., operator, _)) => match Arithmetic::of(operator) {
                Some(arithmetic) => Some(arithmetic),
                None => return because("an operator of this kind", to.position()),
            },
        };
        let mut value = self.operand(from)?;
        let mut target = self.target(to)?;
        let Some(arithmetic) = arithmetic else {
            return Ok(Box::new(move |frame| {
                let value = value.eval(frame)?;
                target.set(frame, value)?;
                Some(Flow::Continue(Value::Null))
            }));
        };
        Ok(Box::new(move |frame| {
            let value = value.eval(frame)?;
            let before = target.get(frame)?;
            target.set(frame, arithmetic.apply(&before, &value)?)?;
            Some(Flow::Continue(Value::Null))
        }))
    }

    /// What is on the left of an assignment.
    fn target(&mut self, expression: &Expr) -> Lowered<Place> {
        let position = expression.position();
        self.count(position)?;
        let place = match expression {
            Expr::Variable(name, ..) => match self.variable(expression) {
                Some(Binding::Slot(slot)) => Place::Slot(slot),
                _ => return because(format!("`{}` is assigned to", name.1), position),
            },
            _ => self.chain_target(expression)?,
        };
        if place.is_of_event() && !self.source.changes_event {
            return because("the event is changed, which only an enricher may", position);
        }
        Ok(place)
    }

    /// An expression, in the form in which operators take it.
    pub(super) fn operand(&mut self, expression: &Expr) -> Lowered<Operand> {
        if let Some(constant) = self.constant(expression) {
            return Ok(Operand::Constant(constant));
        }
        Ok(match self.place(expression)? {
            Some(place) => Operand::Place(place),
            None => Operand::Code(self.value(expression)?),
        })
    }
}

/// The name of a variable that is one of the function's own, or a constant of the script.
pub(super) fn name_of(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Variable(name, ..) if name.2.is_empty() => Some(name.1.as_str()),
        _ => None,
    }
}

/// A statement that does nothing.
pub(super) fn nothing() -> Step {
    Box::new(|_| Some(Flow::Continue(Value::Null)))
}

fn going_on(mut code: Code) -> Step {
    Box::new(move |frame| code(frame).map(Flow::Continue))
}

/// The value of a statement in which no `return` is.
pub(super) fn value_of(mut step: Step) -> Code {
    Box::new(move |frame: &mut Frame<'_>| match step(frame)? {
        Flow::Continue(value) | Flow::Break(value) => Some(value),
    })
}

fn branches(mut test: Test, mut body: Step, mut branch: Step) -> Step {
    Box::new(move |frame| if test(frame)? { body(frame) } else { branch(frame) })
}
