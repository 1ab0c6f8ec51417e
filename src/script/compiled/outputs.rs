//! `out.emit`, `out.emit_after`, `out.timer` and `out.cancel` in compiled rules.

use std::time::Duration;

use rhai::{Expr, FnCallExpr, Position};

use super::bounds::are_within_bounds;
use super::chain::Handle;
use super::expression::FieldsCode;
use super::frame::{Code, Frame};
use super::lower::{Lowered, Lowering, because};
use super::place::Operand;
use crate::event::{Fields, Key, Value};
use crate::script::duration::duration_of;
use crate::script::output::{
    COMMANDS_MAX, Command, Emission, TIMER_NAME_BYTES_MAX, envelope_field,
};

impl Lowering<'_> {
    /// A method of `out`.
    pub(super) fn output(&mut self, call: &FnCallExpr, position: Position) -> Lowered<Code> {
        match (call.name.as_str(), call.args.as_slice()) {
            ("emit", [event_type, payload]) => {
                let mut emission = self.emission(event_type, payload, None, position)?;
                Ok(Box::new(move |frame| {
                    let emission = emission(frame)?;
                    command(frame, Command::Emit(emission))
                }))
            }
            ("emit", [event_type, payload, envelope]) => {
                let mut emission = self.emission(event_type, payload, Some(envelope), position)?;
                Ok(Box::new(move |frame| {
                    let emission = emission(frame)?;
                    command(frame, Command::Emit(emission))
                }))
            }
            ("emit_after", [delay, event_type, payload, envelope @ ..]) if envelope.len() < 2 => {
                let mut delay = self.operand(delay)?;
                let mut emission =
                    self.emission(event_type, payload, envelope.first(), position)?;
                Ok(Box::new(move |frame| {
                    let delay = after(&mut delay, frame)?;
                    let emission = emission(frame)?;
                    command(frame, Command::EmitAfter(delay, emission))
                }))
            }
            ("timer", [name, delay]) => {
                let (mut name, mut delay) = (self.operand(name)?, self.operand(delay)?);
                Ok(Box::new(move |frame| {
                    let name = timer_name(&mut name, frame)?;
                    if name.len() > TIMER_NAME_BYTES_MAX {
                        return None;
                    }
                    let delay = after(&mut delay, frame)?;
                    command(frame, Command::Timer(name, delay))
                }))
            }
            ("cancel", [name]) => {
                let mut name = self.operand(name)?;
                Ok(Box::new(move |frame| {
                    let name = timer_name(&mut name, frame)?;
                    command(frame, Command::Cancel(name))
                }))
            }
            _ => because(format!("`{}` of `out`", call.name), position),
        }
    }

    fn emission(
        &mut self,
        event_type: &Expr,
        payload: &Expr,
        envelope: Option<&Expr>,
        position: Position,
    ) -> Lowered<EmissionCode> {
        let mut event_type = match self.constant(event_type) {
            Some(Value::Text(name)) => match name.with_str(Key::intern) {
                Ok(key) => TypeCode::Known(key),
                Err(_) => return because("one name too many", position),
            },
            _ => TypeCode::Read(self.operand(event_type)?),
        };
        let mut payload = match payload {
            Expr::Map(map, position) => PayloadCode::Made(self.map(&map.0, *position)?),
            Expr::DynamicConstant(..) => match self.constant(payload) {
                Some(Value::Map(fields)) => PayloadCode::Constant(*fields),
                _ => return because("a payload of this kind", position),
            },
            _ if self.fields_handle(payload) == Some(Handle::Payload) => PayloadCode::OfEvent,
            _ => return because("a payload of this kind", position),
        };
        let mut envelope = match envelope {
            None => Vec::new(),
            Some(Expr::Map(map, position)) => {
                let mut fields = Vec::with_capacity(map.0.len());
                for (name, value) in &map.0 {
                    let Ok(key) = envelope_field(&name.name) else {
                        return because(format!("`{}` of an envelope", name.name), *position);
                    };
                    fields.push((key, self.operand(value)?));
                }
                fields
            }
            Some(_) => return because("an envelope of this kind", position),
        };
        Ok(Box::new(move |frame| {
            let event_type = event_type.eval(frame)?;
            let payload = payload.eval(frame)?;
            let mut set = Vec::with_capacity(envelope.len());
            for (key, value) in &mut envelope {
                set.push((*key, value.eval(frame)?));
            }
            // The interpreter's maps are in the order of their names.
            set.sort_by_key(|(key, _)| key.name());
            Emission::with_envelope(event_type, payload, set).ok()
        }))
    }
}

/// How an event that is emitted is described.
type EmissionCode = Box<dyn FnMut(&mut Frame<'_>) -> Option<Emission> + Send + Sync>;

enum TypeCode {
    Known(Key),
    Read(Operand),
}

impl TypeCode {
    fn eval(&mut self, frame: &mut Frame<'_>) -> Option<Key> {
        match self {
            Self::Known(key) => Some(*key),
            Self::Read(name) => match name.eval(frame)? {
                Value::Text(name) => name.with_str(Key::intern).ok(),
                _ => None,
            },
        }
    }
}

enum PayloadCode {
    Constant(Fields),
    Made(FieldsCode),
    OfEvent,
}

impl PayloadCode {
    fn eval(&mut self, frame: &mut Frame<'_>) -> Option<Fields> {
        match self {
            Self::Constant(fields) => Some(fields.clone()),
            Self::OfEvent => Some(frame.event()?.payload.clone()),
            Self::Made(code) => code.eval(frame).filter(are_within_bounds),
        }
    }
}

fn command(frame: &mut Frame<'_>, command: Command) -> Option<Value> {
    if frame.scratch.commands.len() >= COMMANDS_MAX {
        return None;
    }
    frame.scratch.commands.push(command);
    Some(Value::Null)
}

fn after(delay: &mut Operand, frame: &mut Frame<'_>) -> Option<Duration> {
    duration_of(&delay.eval(frame)?).ok().filter(|delay| !delay.is_zero())
}

fn timer_name(name: &mut Operand, frame: &mut Frame<'_>) -> Option<String> {
    match name.eval(frame)? {
        Value::Text(name) => Some(name.to_string()),
        _ => None,
    }
}
