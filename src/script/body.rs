//! The bodies of a script's functions, run in place of a call: the interpreter tells of a limit that
//! is exceeded in a function at the place of its call, and a call from outside has none.

use std::sync::Arc;

use rhai::{
    AST, ASTNode, Dynamic, EvalAltResult, EvalContext, Expr, Expression, ImmutableString, Position,
    Stmt, StmtBlock,
};

use super::check::alone;

/// A function without its name.
pub(super) struct Body {
    name: ImmutableString,
    parameters: Vec<ImmutableString>,
    statements: Expr,
}

/// The bodies of all functions of a script.
pub(super) fn all(ast: &AST) -> Arc<[Body]> {
    let bodies = ast.iter_fn_def().map(|definition| {
        let parameters: Vec<ImmutableString> = definition.params.iter().cloned().collect();
        let statements = statements(ast, &definition.name, parameters.len());
        let block = StmtBlock::new(statements, Position::NONE, Position::NONE);
        let statements = Expr::Stmt(Box::new(block));
        Body { name: definition.name.clone(), parameters, statements }
    });
    bodies.collect()
}

/// The body of the function of that name with so many parameters.
pub(super) fn find<'a>(bodies: &'a [Body], name: &str, parameters: usize) -> Option<&'a Body> {
    bodies.iter().find(|body| body.name == name && body.parameters.len() == parameters)
}

/// The statements of a function, none if it is not there.
pub(super) fn statements(ast: &AST, name: &str, parameters: usize) -> Vec<Stmt> {
    let Some((alone, _)) = alone(ast, name, parameters) else { return Vec::new() };
    let mut statements = Vec::new();
    alone.walk(&mut |path: &[ASTNode<'_>]| {
        if let [ASTNode::Stmt(statement)] = path {
            statements.push((*statement).clone());
        }
        true
    });
    statements
}

impl Body {
    /// Does what a call with these arguments does.
    pub(super) fn run(
        &self,
        context: &mut EvalContext<'_, '_, '_, '_, '_, '_>,
        arguments: Vec<Dynamic>,
    ) -> Result<Dynamic, Box<EvalAltResult>> {
        let mut frame = context.new_frame().rewind_scope(true).up_call_level();
        for (name, value) in self.parameters.iter().zip(arguments) {
            frame.scope_mut().push_dynamic(name.clone(), value);
        }
        match frame.eval_expression_tree(&Expression::from(&self.statements)) {
            Err(error) => match *error {
                EvalAltResult::Return(value, _) => Ok(value),
                other => Err(other.into()),
            },
            returned => returned,
        }
    }
}
