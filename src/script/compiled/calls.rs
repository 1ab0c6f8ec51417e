//! Calls: functions of the script, lowered where they are called; the engine's own.

use rhai::{ASTNode, Expr, FnCallExpr, Position, Stmt};

use super::chain::Handle;
use super::frame::{Code, Frame, seen};
use super::host::{self, Host};
use super::lower::{Binding, Lowered, Lowering, because, value_of};
use super::operators::Comparison;
use super::place::Operand;
use crate::event::Value;
use crate::script::sandbox::CALLS_MAX;

impl Lowering<'_> {
    /// A call of a function or an operator.
    pub(super) fn call(&mut self, call: &FnCallExpr, position: Position) -> Lowered<Code> {
        if call.capture_parent_scope || !call.namespace.is_empty() {
            return because("a call of this kind", position);
        }
        if let Some(operator) = &call.op_token {
            return self.operator(call, operator, position);
        }
        let (name, count) = (call.name.as_str(), call.args.len());
        // The interpreter looks at a variable that is the first argument after all others.
        if let [Expr::Variable(..), others @ ..] = call.args.as_slice()
            && others.iter().any(|argument| self.has_effects(argument))
        {
            return because("an argument that does something beside", position);
        }
        if self.is_of_script(name, count) {
            return self.script_call(call, position);
        }
        match (name, call.args.as_slice()) {
            ("contains", [Expr::Array(values, _), one]) => self.is_one_of(values, one),
            ("contains", [list @ (Expr::DynamicConstant(..) | Expr::Variable(..)), one])
                if matches!(self.constant(list), Some(Value::List(_))) =>
            {
                self.is_one_of_constants(list, one)
            }
            ("contains", [fields, name]) if self.fields_handle(fields).is_some() => {
                let handle = self.fields_handle(fields).unwrap_or(Handle::Payload);
                self.contains_field(handle, name)
            }
            ("lookup", [table, key]) => self.lookup(table, key, position),
            ("rand", []) => {
                self.draw(position, |random, _| Some(Value::Float(random.float())), &[])
            }
            ("rand_int", numbers @ [_, _]) => self.draw(
                position,
                |random, numbers| match numbers {
                    [Value::Int(from), Value::Int(to)] => {
                        random.integer(*from, *to).map(Value::Int)
                    }
                    _ => None,
                },
                numbers,
            ),
            (name, arguments) => match host::find(name, count) {
                Some(host) => {
                    let arguments = self.operands(arguments)?;
                    Ok(host_call(host, arguments))
                }
                None => because(format!("`{name}`"), position),
            },
        }
    }

    /// A call after a dot.
    pub(super) fn host_method(
        &mut self,
        receiver: Code,
        call: &FnCallExpr,
        position: Position,
    ) -> Lowered<Code> {
        let (name, count) = (call.name.as_str(), call.args.len());
        let Some(host) = host::find(name, count + 1) else {
            return because(format!("`{name}`"), position);
        };
        let mut operands = vec![Operand::Code(receiver)];
        operands.extend(self.operands(&call.args)?);
        Ok(host_call(host, operands))
    }

    pub(super) fn is_of_script(&self, name: &str, parameters: usize) -> bool {
        let mut functions = self.source.ast.iter_functions();
        functions.any(|found| found.name == name && found.params.len() == parameters)
    }

    /// Whether working an expression out may do anything beside giving a value: assign, draw, emit,
    /// or whatever functions of the script do.
    pub(super) fn has_effects(&self, expression: &Expr) -> bool {
        let mut found = false;
        expression.walk(&mut Vec::new(), &mut |path: &[ASTNode<'_>]| {
            found |= match path.last() {
                Some(ASTNode::Stmt(Stmt::Assignment(_))) => true,
                Some(
                    ASTNode::Stmt(Stmt::FnCall(call, _)) | ASTNode::Expr(Expr::FnCall(call, _)),
                ) => call.op_token.is_none() && !self.only_gives(call, call.args.len()),
                Some(ASTNode::Expr(Expr::MethodCall(call, _))) => {
                    !self.only_gives(call, call.args.len() + 1)
                }
                _ => false,
            };
            !found
        });
        found
    }

    /// Whether a function that is not of the script gives a value and does nothing else.
    fn only_gives(&self, call: &FnCallExpr, arguments: usize) -> bool {
        let (name, count) = (call.name.as_str(), call.args.len());
        let is_own = self.is_of_script(name, count) || self.is_of_script(name, arguments);
        !is_own && (host::find(name, arguments).is_some() || matches!(name, "lookup" | "contains"))
    }

    /// A function of the script, in the place of its call.
    fn script_call(&mut self, call: &FnCallExpr, position: Position) -> Lowered<Code> {
        let function = (call.name.clone(), call.args.len());
        if self.inside.contains(&function) {
            return because(format!("`{}` calls itself", call.name), position);
        }
        // The function that the component calls is one deep.
        if self.inside.len() + 2 >= CALLS_MAX {
            return because("calls that nest so deep", position);
        }
        let parameters: Vec<_> = {
            let mut functions = self.source.ast.iter_fn_def();
            let found = functions
                .find(|found| (&found.name, found.params.len()) == (&function.0, function.1));
            found.map(|found| found.params.iter().cloned().collect()).unwrap_or_default()
        };
        let mut arguments = Vec::new();
        let mut bindings = Vec::with_capacity(parameters.len());
        for (parameter, argument) in parameters.into_iter().zip(&call.args) {
            let binding = if let Some(handle) = self.handle_named(argument) {
                handle
            } else {
                let value = self.operand(argument)?;
                let slot = self.new_slot();
                arguments.push((slot, value));
                Binding::Slot(slot)
            };
            bindings.push((parameter, binding));
        }
        let outer = std::mem::replace(&mut self.names, bindings);
        self.inside.push(function);
        let body = self.body(&call.name, call.args.len());
        self.inside.pop();
        self.names = outer;
        let mut body = value_of(body?);
        Ok(Box::new(move |frame| {
            for (slot, value) in &mut arguments {
                frame.scratch.slots[*slot] = value.eval(frame)?;
            }
            body(frame)
        }))
    }

    /// The event, the state or `out`, where a variable stands for one.
    fn handle_named(&self, expression: &Expr) -> Option<Binding> {
        match self.variable(expression)? {
            Binding::Slot(_) => None,
            handle => Some(handle),
        }
    }

    fn is_one_of(&mut self, values: &[Expr], one: &Expr) -> Lowered<Code> {
        let mut values = self.operands(values)?;
        let mut one = self.operand(one)?;
        Ok(Box::new(move |frame| {
            let values: Option<Vec<Value>> =
                values.iter_mut().map(|value| value.eval(frame)).collect();
            is_among(&values?, &one.eval(frame)?)
        }))
    }

    fn is_one_of_constants(&mut self, list: &Expr, one: &Expr) -> Lowered<Code> {
        let Some(Value::List(values)) = self.constant(list) else {
            return because("a list of this kind", list.position());
        };
        let mut one = self.operand(one)?;
        Ok(Box::new(move |frame| is_among(&values, &one.eval(frame)?)))
    }

    fn lookup(&mut self, table: &Expr, key: &Expr, position: Position) -> Lowered<Code> {
        let Some(tables) = self.source.tables.cloned() else {
            return because("`lookup`", position);
        };
        let Some(Value::Text(name)) = self.constant(table) else {
            return because("the name of a table that is worked out", position);
        };
        let mut key = self.operand(key)?;
        Ok(Box::new(move |frame| {
            let key = key.eval(frame)?;
            Some(name.with_str(|name| tables.get(name))?.record(&key).clone())
        }))
    }

    fn draw(
        &mut self,
        position: Position,
        draw: fn(&crate::script::random::Randomness, &[Value]) -> Option<Value>,
        arguments: &[Expr],
    ) -> Lowered<Code> {
        let Some(random) = self.source.randomness.cloned() else {
            return because("random numbers", position);
        };
        self.draws = true;
        let mut arguments = self.operands(arguments)?;
        Ok(Box::new(move |frame| {
            let arguments: Option<Vec<Value>> =
                arguments.iter_mut().map(|argument| argument.eval(frame)).collect();
            draw(&random, &arguments?)
        }))
    }
}

/// Whether a list has a value. Numbers with a point are left to the interpreter, whose lists do not
/// compare them as its operators do.
fn is_among(values: &[Value], one: &Value) -> Option<Value> {
    let plain = |value: &Value| !matches!(value, Value::Float(_) | Value::List(_) | Value::Map(_));
    if !plain(one) || !values.iter().all(plain) {
        return None;
    }
    let mut found = false;
    for value in values {
        found |= Comparison::Equal.holds(value, one)?;
    }
    Some(Value::Bool(found))
}

fn host_call(host: &'static Host, mut arguments: Vec<Operand>) -> Code {
    match arguments.len() {
        1 => {
            let Some(mut one) = arguments.pop() else { return Box::new(|_| None) };
            Box::new(move |frame| (host.call)(&[value(&mut one, frame)?]))
        }
        _ => Box::new(move |frame| {
            let mut values = [const { Value::Null }; host::ARGUMENTS_MAX];
            for (place, argument) in values.iter_mut().zip(&mut arguments) {
                *place = value(argument, frame)?;
            }
            (host.call)(&values[..arguments.len()])
        }),
    }
}

fn value(operand: &mut Operand, frame: &mut Frame<'_>) -> Option<Value> {
    seen(&operand.eval(frame)?)
}
