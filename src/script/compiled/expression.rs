//! Expressions to closures: values, what is true or false, strings that are put together.

use compact_str::CompactString;
use rhai::{Expr, FnCallExpr, ImmutableString, Position, Token};

use super::bounds::is_within_bounds;
use super::frame::{Code, Frame, Test};
use super::lower::{Binding, Lowered, Lowering, because, name_of};
use super::operators::{Arithmetic, Comparison, push, text_value};
use super::place::{Operand, Place};
use crate::event::{Fields, Key, Value};
use crate::script::values::from_rhai;

impl Lowering<'_> {
    /// The value of an expression.
    pub(super) fn value(&mut self, expression: &Expr) -> Lowered<Code> {
        let position = expression.position();
        self.count(position)?;
        if let Some(constant) = self.constant(expression) {
            return Ok(Box::new(move |_| Some(constant.clone())));
        }
        if let Some(place) = self.place(expression)? {
            return Ok(Box::new(move |frame| place.get(frame)));
        }
        match expression {
            Expr::FnCall(call, position) => self.call(call, *position),
            Expr::Dot(..) | Expr::Index(..) => self.chain(expression),
            Expr::And(..) | Expr::Or(..) => self.test(expression).map(of_test),
            Expr::Coalesce(parts, _) => {
                let mut parts =
                    parts.iter().map(|part| self.operand(part)).collect::<Lowered<Vec<_>>>()?;
                Ok(Box::new(move |frame| {
                    for part in &mut parts {
                        let value = part.eval(frame)?;
                        if value != Value::Null {
                            return Some(value);
                        }
                    }
                    Some(Value::Null)
                }))
            }
            Expr::InterpolatedString(parts, _) => self.interpolated(parts),
            Expr::Stmt(block) => self.block_in_expression(block.statements()),
            Expr::Array(values, _) => {
                let mut values =
                    values.iter().map(|value| self.operand(value)).collect::<Lowered<Vec<_>>>()?;
                Ok(Box::new(move |frame| {
                    let values = values.iter_mut().map(|value| value.eval(frame));
                    let values = values.collect::<Option<Vec<Value>>>()?.into();
                    is_within_bounds(&values).then_some(values)
                }))
            }
            Expr::Map(map, position) => {
                let mut fields = self.map(&map.0, *position)?;
                Ok(Box::new(move |frame| {
                    let fields = Value::Map(Box::new(fields.eval(frame)?));
                    is_within_bounds(&fields).then_some(fields)
                }))
            }
            Expr::CharConstant(..) => because("a character", position),
            Expr::ThisPtr(..) => because("`this`", position),
            Expr::Variable(name, ..) => because(format!("`{}` as a value", name.1), position),
            _ => because("an expression of this kind", position),
        }
    }

    /// Whether an expression is true.
    pub(super) fn test(&mut self, expression: &Expr) -> Lowered<Test> {
        self.count(expression.position())?;
        match expression {
            Expr::BoolConstant(value, _) => {
                let value = *value;
                Ok(Box::new(move |_| Some(value)))
            }
            Expr::And(parts, _) => {
                let mut parts = self.tests(parts)?;
                Ok(Box::new(move |frame| {
                    for part in &mut parts {
                        if !part(frame)? {
                            return Some(false);
                        }
                    }
                    Some(true)
                }))
            }
            Expr::Or(parts, _) => {
                let mut parts = self.tests(parts)?;
                Ok(Box::new(move |frame| {
                    for part in &mut parts {
                        if part(frame)? {
                            return Some(true);
                        }
                    }
                    Some(false)
                }))
            }
            Expr::FnCall(call, _) => {
                if let Some(test) = self.operator_test(call)? {
                    return Ok(test);
                }
                self.value(expression).map(as_test)
            }
            _ => self.value(expression).map(as_test),
        }
    }

    fn tests(&mut self, parts: &[Expr]) -> Lowered<Vec<Test>> {
        parts.iter().map(|part| self.test(part)).collect()
    }

    /// An operator that is true or false.
    fn operator_test(&mut self, call: &FnCallExpr) -> Lowered<Option<Test>> {
        let Some(operator) = &call.op_token else { return Ok(None) };
        match (operator, call.args.as_slice()) {
            (Token::Bang, [one]) => {
                let mut test = self.test(one)?;
                Ok(Some(Box::new(move |frame| Some(!test(frame)?))))
            }
            (operator, [one, two]) => match Comparison::of(operator) {
                Some(comparison) => self.comparison(comparison, one, two).map(Some),
                None => Ok(None),
            },
            _ => Ok(None),
        }
    }

    fn comparison(&mut self, comparison: Comparison, one: &Expr, two: &Expr) -> Lowered<Test> {
        if let Some(test) = self.type_test(comparison, one, two)? {
            return Ok(test);
        }
        let (mut one, mut two) = (self.operand(one)?, self.operand(two)?);
        Ok(match (one.is_code(), two.is_code()) {
            (false, false) => {
                Box::new(move |frame| comparison.holds(one.peek(frame)?, two.peek(frame)?))
            }
            (true, false) => Box::new(move |frame| {
                let one = one.eval(frame)?;
                comparison.holds(&one, two.peek(frame)?)
            }),
            _ => Box::new(move |frame| {
                let (one, two) = (one.eval(frame)?, two.eval(frame)?);
                comparison.holds(&one, &two)
            }),
        })
    }

    /// `event.event_type == "name"`: names are compared by their addresses.
    fn type_test(
        &mut self,
        comparison: Comparison,
        one: &Expr,
        two: &Expr,
    ) -> Lowered<Option<Test>> {
        use crate::event::EnvelopeKey::EventType;
        let wanted = match comparison {
            Comparison::Equal => true,
            Comparison::Unequal => false,
            _ => return Ok(None),
        };
        let ((Expr::StringConstant(name, _), other) | (other, Expr::StringConstant(name, _))) =
            (one, two)
        else {
            return Ok(None);
        };
        if self.place(other)? != Some(Place::Envelope(EventType)) {
            return Ok(None);
        }
        let Ok(key) = Key::intern(name) else { return Ok(None) };
        Ok(Some(Box::new(move |frame| Some((frame.event()?.event_type == key) == wanted))))
    }

    /// An operator that is not true or false, or one that is, as a value.
    pub(super) fn operator(
        &mut self,
        call: &FnCallExpr,
        operator: &Token,
        position: Position,
    ) -> Lowered<Code> {
        if let Some(test) = self.operator_test(call)? {
            return Ok(of_test(test));
        }
        match (operator, call.args.as_slice()) {
            (Token::Minus | Token::UnaryMinus, [one]) => {
                let mut one = self.operand(one)?;
                Ok(Box::new(move |frame| match one.eval(frame)? {
                    Value::Int(number) => number.checked_neg().map(Value::Int),
                    Value::Float(number) => Some(Value::Float(-number)),
                    _ => None,
                }))
            }
            (operator, [one, two]) => match Arithmetic::of(operator) {
                Some(arithmetic) => {
                    let (one, two) = (self.operand(one)?, self.operand(two)?);
                    Ok(calculation(arithmetic, one, two))
                }
                None => because(format!("the operator `{}`", call.name), position),
            },
            _ => because(format!("the operator `{}`", call.name), position),
        }
    }

    fn interpolated(&mut self, parts: &[Expr]) -> Lowered<Code> {
        let mut parts = parts.iter().map(|part| self.operand(part)).collect::<Lowered<Vec<_>>>()?;
        Ok(Box::new(move |frame| {
            let mut text = CompactString::default();
            for part in &mut parts {
                if part.is_code() {
                    push(&mut text, &part.eval(frame)?)?;
                } else {
                    push(&mut text, part.peek(frame)?)?;
                }
            }
            text_value(text)
        }))
    }

    /// A constant of the text or of the script.
    pub(super) fn constant(&self, expression: &Expr) -> Option<Value> {
        match expression {
            Expr::BoolConstant(value, _) => Some(Value::Bool(*value)),
            Expr::IntegerConstant(number, _) => Some(Value::Int(*number)),
            Expr::FloatConstant(number, _) => Some(Value::Float(**number)),
            Expr::StringConstant(text, _) => Some(Value::Text(text.as_str().into())),
            Expr::Unit(_) => Some(Value::Null),
            Expr::DynamicConstant(value, _) => from_rhai(value).ok(),
            Expr::Variable(..) if self.variable(expression).is_none() => {
                from_rhai(self.source.constants.get(name_of(expression)?)?).ok()
            }
            Expr::Index(pair, ..) => match (self.constant(&pair.lhs)?, self.constant(&pair.rhs)?) {
                (Value::List(values), Value::Int(place)) => {
                    values.get(usize::try_from(place).ok()?).cloned()
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// Where the value of an expression stands, if it stands anywhere.
    pub(super) fn place(&mut self, expression: &Expr) -> Lowered<Option<Place>> {
        match expression {
            Expr::Variable(..) => Ok(match self.variable(expression) {
                Some(Binding::Slot(slot)) => Some(Place::Slot(slot)),
                _ => None,
            }),
            Expr::Dot(..) | Expr::Index(..) => self.chain_place(expression),
            Expr::Coalesce(parts, _) => match parts.as_slice() {
                [one, otherwise] => match (self.place(one)?, self.constant(otherwise)) {
                    (Some(place), Some(constant)) if place.is_read_where_it_stands() => {
                        Ok(Some(Place::Or(Box::new(place), constant)))
                    }
                    _ => Ok(None),
                },
                _ => Ok(None),
            },
            _ => Ok(None),
        }
    }

    /// The fields of a map, for an event or as a value.
    pub(super) fn map(
        &mut self,
        entries: &[(rhai::Ident, Expr)],
        position: Position,
    ) -> Lowered<FieldsCode> {
        let mut names: Vec<&ImmutableString> = entries.iter().map(|(name, _)| &name.name).collect();
        // The interpreter's maps are in the order of their names.
        names.sort_unstable();
        let mut fields = Fields::with_capacity(names.len());
        for name in &names {
            let Ok(key) = Key::intern(name) else { return because("one name too many", position) };
            fields.push(key, Value::Null);
        }
        let mut values = Vec::with_capacity(entries.len());
        for (name, value) in entries {
            let place = names.iter().position(|known| **known == name.name).unwrap_or_default();
            values.push((place, self.operand(value)?));
        }
        Ok(FieldsCode { fields, values })
    }
}

/// How a map is made: its fields in order, and what each of them is, in the order of the text.
pub(super) struct FieldsCode {
    fields: Fields,
    values: Vec<(usize, Operand)>,
}

impl FieldsCode {
    pub(super) fn eval(&mut self, frame: &mut Frame<'_>) -> Option<Fields> {
        let mut fields = self.fields.clone();
        for (place, value) in &mut self.values {
            *fields.at_mut(*place)? = value.eval(frame)?;
        }
        Some(fields)
    }
}

fn calculation(arithmetic: Arithmetic, mut one: Operand, mut two: Operand) -> Code {
    match (one.is_code(), two.is_code()) {
        (false, false) => {
            Box::new(move |frame| arithmetic.apply(one.peek(frame)?, two.peek(frame)?))
        }
        (true, false) => Box::new(move |frame| {
            let one = one.eval(frame)?;
            arithmetic.apply(&one, two.peek(frame)?)
        }),
        _ => Box::new(move |frame| {
            let (one, two) = (one.eval(frame)?, two.eval(frame)?);
            arithmetic.apply(&one, &two)
        }),
    }
}

fn as_test(mut code: Code) -> Test {
    Box::new(move |frame| match code(frame)? {
        Value::Bool(value) => Some(value),
        _ => None,
    })
}

pub(super) fn of_test(mut test: Test) -> Code {
    Box::new(move |frame| test(frame).map(Value::Bool))
}
