//! Chains of dots and brackets: `event.payload.total`, `state.open`, `out.emit(..)`, `text.len()`.

use rhai::{ASTFlags, Expr, FnCallExpr, Position};

use super::frame::{Code, seen};
use super::lower::{Binding, Lowered, Lowering, because};
use super::place::{Name, Operand, Place, inside};
use crate::event::{EnvelopeKey, Key, Value};
use crate::script::fuse::PREFIX;

/// One link of a chain.
struct Link<'e> {
    kind: LinkKind<'e>,
    /// Whether all is nothing where that before it is.
    is_lenient: bool,
    position: Position,
}

enum LinkKind<'e> {
    Property(&'e str),
    Method(&'e FnCallExpr),
    Index(&'e Expr),
}

/// What a chain begins with, and its links.
fn links(expression: &Expr) -> (&Expr, Vec<Link<'_>>) {
    let (Expr::Dot(pair, ..) | Expr::Index(pair, ..)) = expression else {
        return (expression, Vec::new());
    };
    let (root, mut rest, mut parent) = (&pair.lhs, &pair.rhs, expression);
    let mut links = Vec::new();
    loop {
        let flags = parent.options();
        let mut link = |expression| links.push(link(expression, parent, flags));
        match rest {
            Expr::Dot(pair, ..) | Expr::Index(pair, ..) if !flags.contains(ASTFlags::BREAK) => {
                link(&pair.lhs);
                (parent, rest) = (rest, &pair.rhs);
            }
            last => {
                link(last);
                return (root, links);
            }
        }
    }
}

fn link<'e>(expression: &'e Expr, parent: &Expr, flags: ASTFlags) -> Link<'e> {
    let kind = match (parent, expression) {
        (Expr::Dot(..), Expr::Property(property, _)) => LinkKind::Property(&property.2),
        (Expr::Dot(..), Expr::MethodCall(call, _)) => LinkKind::Method(call),
        (_, index) => LinkKind::Index(index),
    };
    Link { kind, is_lenient: flags.contains(ASTFlags::NEGATED), position: expression.position() }
}

impl Lowering<'_> {
    /// The place that a chain of names leads to, if it is one and known.
    pub(super) fn chain_place(&mut self, expression: &Expr) -> Lowered<Option<Place>> {
        let (root, links) = links(expression);
        let Some((place, rest)) = self.first_place(root, &links) else { return Ok(None) };
        if !rest.iter().all(|link| matches!(link.kind, LinkKind::Property(_))) {
            return Ok(None);
        }
        if rest.is_empty() {
            return Ok(Some(place).filter(|place| *place != Place::Payload));
        }
        let names = names_of(rest)?;
        Ok(place.is_read_where_it_stands().then(|| place.inside(names)))
    }

    /// The same for what is assigned to.
    pub(super) fn chain_target(&mut self, expression: &Expr) -> Lowered<Place> {
        let (root, links) = links(expression);
        match self.first_place(root, &links) {
            Some((place, [])) if !matches!(place, Place::Slot(_)) => Ok(place),
            _ => because("an assignment into a value", expression.position()),
        }
    }

    /// The place that a chain begins at, and what follows.
    fn first_place<'l, 'e>(
        &self,
        root: &Expr,
        links: &'l [Link<'e>],
    ) -> Option<(Place, &'l [Link<'e>])> {
        match self.variable(root)? {
            Binding::Event => event_place(links),
            Binding::State => {
                let (first, rest) = links.split_first()?;
                Some((Place::State(name_of(first)?), rest))
            }
            Binding::Slot(slot) => Some((Place::Slot(slot), links)),
            Binding::Out => None,
        }
    }

    /// A chain that is no place: it calls something.
    pub(super) fn chain(&mut self, expression: &Expr) -> Lowered<Code> {
        let (root, links) = links(expression);
        self.check_methods(root, &links)?;
        if let Some(handle) = self.handle(root, &links) {
            return match handle {
                (Handle::Out, [Link { kind: LinkKind::Method(call), position, .. }]) => {
                    self.output(call, *position)
                }
                (handle, [Link { kind: LinkKind::Method(call), position, .. }, rest @ ..]) => {
                    let code = self.fields_method(handle, call, *position)?;
                    self.methods(code, rest)
                }
                _ => because("a use of this kind", expression.position()),
            };
        }
        let is_call = |link: &Link<'_>| matches!(link.kind, LinkKind::Method(_));
        let names = links.iter().position(is_call).unwrap_or(links.len());
        if names < links.len() && links[..names].iter().any(|link| link.is_lenient) {
            return because("`?.` before a call", expression.position());
        }
        let code: Code = match self.first_place(root, &links[..names]) {
            Some((place, rest)) if place.is_read_where_it_stands() => {
                let names = names_of(rest)?;
                let place = place.inside(names);
                Box::new(move |frame| place.get(frame))
            }
            Some((place, [])) if place != Place::Payload => Box::new(move |frame| place.get(frame)),
            None if !matches!(root, Expr::Variable(..)) || self.constant(root).is_some() => {
                let names = names_of(&links[..names])?;
                inside_value(self.value(root)?, names)
            }
            _ => return because("a chain of this kind", expression.position()),
        };
        self.methods(code, &links[names..])
    }

    /// A method of the script's own goes before any other of its name. And the interpreter works
    /// out the arguments of all methods of a chain before what stands in front of them: that is the
    /// same only where none of it does anything beside.
    fn check_methods(&self, root: &Expr, links: &[Link<'_>]) -> Lowered<()> {
        let mut arguments = Vec::new();
        for link in links {
            let LinkKind::Method(call) = link.kind else { continue };
            let (name, count) = (call.name.as_str(), call.args.len());
            // `x.f(y)` calls the script's `f(y)` with `x` as `this`, or its `f(x, y)`.
            if self.is_of_script(name, count) || self.is_of_script(name, count + 1) {
                return because(format!("`{name}` of the script as a method"), link.position);
            }
            arguments.extend(&call.args);
        }
        let acts = arguments.iter().any(|argument| self.has_effects(argument));
        let is_seen = arguments.iter().any(|argument| self.constant(argument).is_none());
        if arguments.is_empty() || !(acts || is_seen && self.has_effects(root)) || self.is_out(root)
        {
            return Ok(());
        }
        because("an argument that does something beside", root.position())
    }

    /// What is emitted has nothing in front of it that could be changed by its arguments.
    fn is_out(&self, root: &Expr) -> bool {
        matches!(self.variable(root), Some(Binding::Out))
    }

    /// Calls on a value, one after the other.
    fn methods(&mut self, mut code: Code, links: &[Link<'_>]) -> Lowered<Code> {
        for link in links {
            let LinkKind::Method(call) = link.kind else {
                return because("a chain of this kind", link.position);
            };
            if link.is_lenient {
                return because("`?.` before a call", link.position);
            }
            code = self.host_method(code, call, link.position)?;
        }
        Ok(code)
    }

    /// What stands before a method that is one of the event's payload, of the state, or of `out`.
    fn handle<'l, 'e>(
        &self,
        root: &Expr,
        links: &'l [Link<'e>],
    ) -> Option<(Handle, &'l [Link<'e>])> {
        match (self.variable(root)?, links) {
            (Binding::Out, links) => Some((Handle::Out, links)),
            (Binding::State, links @ [Link { kind: LinkKind::Method(_), .. }, ..]) => {
                Some((Handle::State, links))
            }
            (Binding::Event, [Link { kind: LinkKind::Property("payload"), .. }, links @ ..])
                if matches!(links.first().map(|link| &link.kind), Some(LinkKind::Method(_))) =>
            {
                Some((Handle::Payload, links))
            }
            _ => None,
        }
    }

    /// Whether an expression is the payload or the state as a whole.
    pub(super) fn fields_handle(&self, expression: &Expr) -> Option<Handle> {
        let (root, links) = links(expression);
        match (self.variable(root)?, links.as_slice()) {
            (Binding::State, []) => Some(Handle::State),
            (Binding::Event, [Link { kind: LinkKind::Property("payload"), .. }]) => {
                Some(Handle::Payload)
            }
            _ => None,
        }
    }

    /// `contains`, `remove`, `clear` and `len` of the payload or the state.
    fn fields_method(
        &mut self,
        handle: Handle,
        call: &FnCallExpr,
        position: Position,
    ) -> Lowered<Code> {
        let changes_event = self.source.changes_event;
        match (call.name.as_str(), call.args.as_slice(), handle) {
            ("contains", [name], _) => self.contains_field(handle, name),
            ("remove", [Expr::StringConstant(name, _)], Handle::State) => {
                let key = key(name, position)?;
                Ok(Box::new(move |frame| {
                    let fields = &mut **frame.state.as_mut()?;
                    removed(frame.scratch.state.remove(fields, key))
                }))
            }
            ("remove", [Expr::StringConstant(name, _)], Handle::Payload) if changes_event => {
                let key = key(name, position)?;
                Ok(Box::new(move |frame| {
                    let (event, changes) = frame.event_mut()?;
                    removed(changes.remove(event, key))
                }))
            }
            ("clear", [], Handle::State) => Ok(Box::new(|frame| {
                let fields = &mut **frame.state.as_mut()?;
                frame.scratch.state.replace(fields, <_>::default());
                Some(Value::Null)
            })),
            ("len", [], Handle::State) => {
                Ok(Box::new(|frame| Some(Value::Int(frame.state.as_ref()?.len() as i64))))
            }
            ("len", [], Handle::Payload) => {
                Ok(Box::new(|frame| Some(Value::Int(frame.event()?.payload.len() as i64))))
            }
            _ => because(format!("`{}` of these", call.name), position),
        }
    }

    /// Whether the payload or the state has a field.
    pub(super) fn contains_field(&mut self, handle: Handle, name: &Expr) -> Lowered<Code> {
        let mut name = self.operand(name)?;
        Ok(Box::new(move |frame| {
            let Value::Text(name) = name.eval(frame)? else { return None };
            let fields = match handle {
                Handle::Payload => &frame.event()?.payload,
                Handle::State => frame.state.as_ref()?,
                Handle::Out => return None,
            };
            let found = name.with_str(|name| fields.iter().any(|(key, _)| key.as_str() == name));
            Some(Value::Bool(found))
        }))
    }

    /// The arguments of a call.
    pub(super) fn operands(&mut self, arguments: &[Expr]) -> Lowered<Vec<Operand>> {
        arguments.iter().map(|argument| self.operand(argument)).collect()
    }
}

/// What scripts see as objects of their own kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handle {
    Payload,
    State,
    Out,
}

/// The names after dots.
fn names_of(links: &[Link<'_>]) -> Lowered<Vec<Name>> {
    let name = |link: &Link<'_>| {
        let LinkKind::Property(name) = link.kind else {
            return because("a bracket of this kind", link.position);
        };
        Ok(Name { key: key(name, link.position)?, is_lenient: link.is_lenient })
    };
    links.iter().map(name).collect()
}

/// What names lead to inside a value.
fn inside_value(mut code: Code, names: Vec<Name>) -> Code {
    if names.is_empty() {
        return code;
    }
    Box::new(move |frame| {
        let value = code(frame)?;
        seen(inside(&value, &names)?)
    })
}

/// What was taken out is read as any value is; an array or an object is not taken out here.
fn removed(value: Option<Value>) -> Option<Value> {
    seen(&value.unwrap_or_default())
}

fn event_place<'l, 'e>(links: &'l [Link<'e>]) -> Option<(Place, &'l [Link<'e>])> {
    let (first, rest) = links.split_first()?;
    let LinkKind::Property(name) = first.kind else { return None };
    if first.is_lenient {
        return None;
    }
    if let Some(field) = name.strip_prefix(PREFIX) {
        return Some((Place::Field(Key::intern(field).ok()?), rest));
    }
    if let Some(key) = EnvelopeKey::named(name) {
        return Some((Place::Envelope(key), rest));
    }
    match (name, rest) {
        ("time_ms", rest) => Some((Place::Millis, rest)),
        ("payload", [field, rest @ ..]) if !field.is_lenient => match name_of(field) {
            Some(key) => Some((Place::Field(key), rest)),
            None => Some((Place::Payload, &links[1..])),
        },
        ("payload", rest) => Some((Place::Payload, rest)),
        _ => None,
    }
}

/// The name in `.name` or `["name"]`.
fn name_of(link: &Link<'_>) -> Option<Key> {
    match &link.kind {
        LinkKind::Property(name) => Key::intern(name).ok(),
        LinkKind::Index(Expr::StringConstant(name, _)) => Key::intern(name).ok(),
        LinkKind::Index(_) | LinkKind::Method(_) => None,
    }
}

fn key(name: &str, position: Position) -> Lowered<Key> {
    Key::intern(name).or_else(|_| because("one name too many", position))
}
