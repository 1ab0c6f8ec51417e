//! Which fields of payloads a script reads and writes, and whether events have those it reads.

use std::collections::BTreeSet;

use rhai::{AST, ASTNode, Expr, FnCallExpr, Position, Stmt};

use super::check::{alone, walk};
use super::compile::{Function, place};
use super::contract::{has_field, payload_field, whole_field};
use super::premises::types_or_all;
use super::{Premises, fuse, premises};
use crate::problem::{Excerpt, Problem};
use crate::retail::EventType;

/// How many problems of one script are reported.
const PROBLEMS_MAX: usize = 20;

/// The fields of payloads that a script names.
#[derive(Debug, Default)]
pub struct PayloadFields {
    reads: Vec<Read>,
    /// Fields that it sets in its event, or may set: a name in quotes may be one.
    written: BTreeSet<String>,
    /// Fields of the maps that it makes, which may be payloads of events that it derives.
    of_maps: BTreeSet<String>,
    /// Whether the script looks something up, which may not be there for made-up events.
    looks_up: bool,
}

/// A place where a field is read.
#[derive(Debug)]
struct Read {
    name: String,
    position: Position,
    /// Whether the script says itself what happens where the field is not there.
    is_optional: bool,
}

impl PayloadFields {
    /// The fields that are named in the functions that a component calls with `event`, and in those
    /// that they hand it on to.
    pub(super) fn of(ast: &AST, functions: &[Function]) -> Self {
        let mut fields = Self::default();
        walk(ast, |node| match node {
            ASTNode::Expr(Expr::StringConstant(text, _)) => {
                _ = fields.written.insert(text.to_string());
            }
            ASTNode::Expr(Expr::FnCall(call, _)) => fields.looks_up |= call.name == "lookup",
            ASTNode::Expr(Expr::Map(map, _)) => {
                fields.of_maps.extend(map.0.iter().map(|(name, _)| name.name.to_string()));
            }
            _ => (),
        });
        let mut open: Vec<(String, usize, usize)> = functions
            .iter()
            .filter_map(|function| {
                let place = function.parameters.iter().position(|name| *name == "event")?;
                Some((function.name.to_owned(), function.parameters.len(), place))
            })
            .collect();
        let mut seen = BTreeSet::new();
        while let Some(function) = open.pop() {
            if !seen.insert(function.clone()) {
                continue;
            }
            let (name, parameters, place) = &function;
            let Some((alone, parameters)) = alone(ast, name, *parameters) else { continue };
            let event = &parameters[*place];
            if !fuse::is_redefined(&alone, event) {
                fields.look_at(&alone, event, &mut open);
            }
        }
        fields
    }

    fn look_at(&mut self, function: &AST, event: &str, open: &mut Vec<(String, usize, usize)>) {
        function.walk(&mut |path: &[ASTNode<'_>]| {
            match path.last() {
                Some(
                    ASTNode::Expr(Expr::FnCall(call, _)) | ASTNode::Stmt(Stmt::FnCall(call, _)),
                ) => {
                    open.extend(handed_on(call, event));
                }
                Some(ASTNode::Expr(expression)) => {
                    let parent = path.len().checked_sub(2).map(|place| &path[place]);
                    self.look_at_access(expression, parent, event);
                }
                _ => (),
            }
            true
        });
    }

    fn look_at_access(&mut self, expression: &Expr, parent: Option<&ASTNode<'_>>, event: &str) {
        let Some((name, position)) = payload_field(expression, event) else { return };
        if let (Some(name), Some(ASTNode::Stmt(Stmt::Assignment(assignment)))) =
            (whole_field(expression, event), parent)
            && std::ptr::eq(&raw const assignment.1.lhs, expression)
        {
            self.written.insert(name.to_owned());
            if !assignment.0.is_op_assignment() {
                return;
            }
        }
        let is_optional = parent.is_some_and(|parent| is_optional(expression, parent));
        self.reads.push(Read { name: name.to_owned(), position, is_optional });
    }

    /// The names that other stages may find in payloads, or as types, because of this script.
    pub fn added(&self) -> impl Iterator<Item = &String> {
        self.written.iter().chain(&self.of_maps)
    }

    /// Whether the script looks records up.
    pub(super) fn looks_up(&self) -> bool {
        self.looks_up
    }

    /// Whether the script reads a field that events of the type do not have by themselves.
    pub(super) fn needs_more_than(&self, event_type: EventType) -> bool {
        let is_more =
            |read: &Read| !has_field(event_type, &read.name) && !self.written.contains(&read.name);
        self.reads.iter().any(is_more)
    }

    /// Reports fields that are read and that no event of the types has that the script is for.
    pub(super) fn check(
        &self,
        excerpt: &Excerpt,
        types: Option<&BTreeSet<String>>,
        premises: &Premises<'_>,
    ) -> Vec<Problem> {
        let is_pinned = types.is_some();
        let types = types_or_all(types);
        let problem = |read: &Read| {
            let place = place(excerpt, read.position, read.name.chars().count());
            let read =
                premises::Read { name: &read.name, is_pinned, is_optional: read.is_optional };
            premises.absent_field(&types, &read, Some(place))
        };
        let reads = self.reads.iter().filter(|read| !self.written.contains(&read.name));
        reads.filter_map(problem).take(PROBLEMS_MAX).collect()
    }
}

/// The functions that a call hands the event on to, with the place among their parameters.
fn handed_on(call: &FnCallExpr, event: &str) -> Vec<(String, usize, usize)> {
    let is_event =
        |argument: &Expr| matches!(argument, Expr::Variable(name, ..) if name.1.as_str() == event);
    let places = call.args.iter().enumerate().filter(|(_, argument)| is_event(argument));
    places.map(|(place, _)| (call.name.to_string(), call.args.len(), place)).collect()
}

/// Whether a field stands where the script goes on without it: before `??`, or compared with `()`.
fn is_optional(field: &Expr, parent: &ASTNode<'_>) -> bool {
    let ASTNode::Expr(parent) = parent else { return false };
    match parent {
        Expr::Coalesce(parts, _) => parts.first().is_some_and(|first| std::ptr::eq(first, field)),
        Expr::FnCall(call, _) if matches!(call.name.as_str(), "==" | "!=") => {
            call.args.iter().any(|argument| matches!(argument, Expr::Unit(_)))
        }
        _ => false,
    }
}
