//! `event.payload.total` in one step: the interpreter would make an object for `event.payload`,
//! read or write `total` of it, and set `event.payload` to it again.
//!
//! Where a variable is known to be the event, the second dot becomes an underscore before the
//! script is compiled for good, and `payload_total` is a property of events. All places in the
//! text stay the same.

use rhai::{AST, ASTNode, Expr, Position, Stmt};

use super::check::walk;

/// What stands before the field's name in a fused property.
pub(super) const PREFIX: &str = "payload_";

/// The text with every access to a payload's field fused that `places` lists.
pub(super) fn fuse(text: &str, places: &[Position]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let line_starts: Vec<usize> =
        std::iter::once(0).chain(text.match_indices('\n').map(|(end, _)| end + 1)).collect();
    for place in places {
        let (Some(line), Some(column)) = (place.line(), place.position()) else { continue };
        let Some(start) = line_starts.get(line - 1) else { continue };
        let Some((column, _)) = text[*start..].char_indices().nth(column - 1) else { continue };
        let dot = start + column + PREFIX.len() - 1;
        // Where a comment or a line break stands between the two names, they stay as they are.
        let plain = text.as_bytes()[start + column..].starts_with(b"payload.");
        let named = text.as_bytes().get(dot + 1).is_some_and(u8::is_ascii_alphabetic);
        if plain && named {
            bytes[dot] = b'_';
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

/// The places of `payload` in `variable.payload.field`, if `variable` is the same all over.
pub(super) fn places(ast: &AST, variable: &str) -> Vec<Position> {
    if is_redefined(ast, variable) {
        return Vec::new();
    }
    let mut places = Vec::new();
    walk(ast, |node| {
        if let ASTNode::Expr(expression) = node {
            places.extend(place(expression, variable));
        }
    });
    places
}

/// Whether the name means something else somewhere.
pub(super) fn is_redefined(ast: &AST, variable: &str) -> bool {
    let mut changed = false;
    walk(ast, |node| {
        changed |= matches!(node, ASTNode::Stmt(statement) if redefines(statement, variable));
    });
    changed
}

fn place(expression: &Expr, variable: &str) -> Option<Position> {
    let Expr::Dot(dot, ..) = expression else { return None };
    let Expr::Variable(name, ..) = &dot.lhs else { return None };
    let Expr::Dot(rest, ..) = &dot.rhs else { return None };
    let Expr::Property(payload, position) = &rest.lhs else { return None };
    let field = match &rest.rhs {
        Expr::Dot(deeper, ..) | Expr::Index(deeper, ..) => &deeper.lhs,
        single => single,
    };
    let is_field = matches!(field, Expr::Property(..));
    (is_field && name.1.as_str() == variable && payload.2.as_str() == "payload")
        .then_some(*position)
}

/// Whether a statement makes the name mean something else.
fn redefines(statement: &Stmt, variable: &str) -> bool {
    match statement {
        Stmt::Var(definition, ..) => definition.0.name.as_str() == variable,
        Stmt::For(each, _) => {
            each.0.name.as_str() == variable
                || each.1.as_ref().is_some_and(|counter| counter.name.as_str() == variable)
        }
        Stmt::TryCatch(flow, _) => {
            matches!(&flow.expr, Expr::Variable(name, ..) if name.1.as_str() == variable)
        }
        Stmt::Assignment(assignment) => {
            matches!(&assignment.1.lhs, Expr::Variable(name, ..) if name.1.as_str() == variable)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accesses_to_fields_of_the_payload_are_fused_and_nothing_else_is() {
        let text = "\
            event.payload.total += event.payload.items[0].x; // event.payload.total\n\
            event.payload.remove(\"x\"); event.payload[\"x\"]; event.payload = #{};\n\
            other.payload.x; event . payload\n.x; event.payload .x; `äö ${event.payload.tax}`";
        let mut engine = rhai::Engine::new();
        engine.set_optimization_level(rhai::OptimizationLevel::None);
        let ast = engine.compile(text).unwrap();
        assert_eq!(
            fuse(text, &places(&ast, "event")),
            "\
            event.payload_total += event.payload_items[0].x; // event.payload.total\n\
            event.payload.remove(\"x\"); event.payload[\"x\"]; event.payload = #{};\n\
            other.payload.x; event . payload\n.x; event.payload .x; `äö ${event.payload_tax}`"
        );
        for change in ["let event = 1;", "event = 1;", "for event in [] { }"] {
            let ast = engine.compile(format!("{text}; {change}")).unwrap();
            assert!(places(&ast, "event").is_empty(), "{change}");
        }
    }
}
