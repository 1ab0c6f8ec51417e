//! `ctx` in scripts: the moment that a weight is for, and what may be read of it.

use rhai::{AST, ASTNode, Dynamic, Engine, Expr, ImmutableString, Position};

use crate::problem::{Excerpt, Problem, did_you_mean};
use crate::retail::{Moment, Region, StoreMoment, Tier, Weather};
use crate::script::check::{functions_with, walk};
use crate::script::compile::{Function, place};
use crate::script::values::ScriptResult;

/// What a script may read of `ctx`.
const OF_MOMENT: [&str; 8] =
    ["hour", "weekday", "month", "day", "date", "holiday", "store", "weather"];
/// What it may read of `ctx.store`.
const OF_STORE: [&str; 3] = ["id", "tier", "region"];

/// `ctx`
#[derive(Clone)]
pub(super) struct Context(pub(super) Moment);

/// `ctx.store`
#[derive(Clone)]
struct StoreContext(StoreMoment);

/// Teaches an engine what `ctx` is. It can only be read.
pub(super) fn register(engine: &mut Engine) {
    engine.register_type_with_name::<Context>("ctx");
    engine.register_get("hour", |ctx: &mut Context| i64::from(ctx.0.hour));
    engine.register_get("weekday", |ctx: &mut Context| {
        i64::from(ctx.0.date.weekday().to_monday_one_offset())
    });
    engine.register_get("month", |ctx: &mut Context| i64::from(ctx.0.date.month()));
    engine.register_get("day", |ctx: &mut Context| i64::from(ctx.0.date.day()));
    engine.register_get("date", |ctx: &mut Context| ctx.0.date.to_string());
    engine.register_get("holiday", |ctx: &mut Context| {
        ctx.0.holiday.map_or(Dynamic::UNIT, Dynamic::from)
    });
    engine.register_get("store", |ctx: &mut Context| {
        ctx.0.store.map_or(Dynamic::UNIT, |store| Dynamic::from(StoreContext(store)))
    });
    let weathers = names(Weather::ALL, Weather::name);
    engine.register_get("weather", move |ctx: &mut Context| {
        let store = ctx.0.store;
        store.map_or(Dynamic::UNIT, |store| weathers[store.weather as usize].clone().into())
    });
    engine.register_indexer_get(|_: &mut Context, name: ImmutableString| -> ScriptResult<()> {
        Err(unknown_of("ctx", &OF_MOMENT, &name).message.into())
    });

    engine.register_type_with_name::<StoreContext>("ctx.store");
    engine.register_get("id", |store: &mut StoreContext| i64::from(store.0.id));
    let tiers = names(Tier::ALL, Tier::name);
    engine
        .register_get("tier", move |store: &mut StoreContext| tiers[store.0.tier as usize].clone());
    let regions = names(Region::ALL, Region::name);
    engine.register_get("region", move |store: &mut StoreContext| {
        regions[store.0.region as usize].clone()
    });
    engine.register_indexer_get(
        |_: &mut StoreContext, name: ImmutableString| -> ScriptResult<()> {
            Err(unknown_of("ctx.store", &OF_STORE, &name).message.into())
        },
    );
}

/// The names of a list as scripts compare them, so that reading one costs no allocation.
fn names<T: Copy>(all: &[T], name: impl Fn(T) -> &'static str) -> Vec<ImmutableString> {
    all.iter().map(|one| name(*one).into()).collect()
}

/// Reports what is read of `ctx` and `ctx.store` in the functions that get one, and is not there.
pub(super) fn unknown_properties(
    ast: &AST,
    excerpt: &Excerpt,
    functions: &[Function],
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (alone, ctx) in functions_with("ctx", ast, functions) {
        walk(&alone, |node| {
            if let ASTNode::Expr(Expr::Dot(dot, ..)) = node
                && matches!(&dot.lhs, Expr::Variable(name, ..) if name.1.as_str() == ctx)
            {
                let unknown = unknown_in(&dot.rhs);
                problems.extend(unknown.map(|(problem, name, position)| {
                    problem.at(place(excerpt, position, name.chars().count()))
                }));
            }
        });
    }
    problems
}

/// The first unknown property of what follows `ctx.`.
fn unknown_in(rest: &Expr) -> Option<(Problem, &str, Position)> {
    let (name, position) = first_property(rest)?;
    if !OF_MOMENT.contains(&name) {
        return Some((unknown_of("ctx", &OF_MOMENT, name), name, position));
    }
    let Expr::Dot(rest, ..) = rest else { return None };
    let (of_store, position) = first_property(&rest.rhs).filter(|_| name == "store")?;
    let unknown = !OF_STORE.contains(&of_store);
    unknown.then(|| (unknown_of("ctx.store", &OF_STORE, of_store), of_store, position))
}

/// The property that an expression after a dot begins with.
fn first_property(expression: &Expr) -> Option<(&str, Position)> {
    let first = match expression {
        Expr::Dot(rest, ..) | Expr::Index(rest, ..) => &rest.lhs,
        single => single,
    };
    match first {
        Expr::Property(property, position) => Some((property.2.as_str(), *position)),
        _ => None,
    }
}

fn unknown_of(owner: &str, known: &[&str], name: &str) -> Problem {
    let problem = Problem::error(format!("`{owner}` has no `{name}`"));
    if OF_STORE.contains(&name) {
        return problem.help(format!("write `ctx.store?.{name}`"));
    }
    if OF_MOMENT.contains(&name) {
        return problem.help(format!("write `ctx.{name}`"));
    }
    match did_you_mean(name, known.iter().copied()) {
        Some(close) => problem.help(format!("did you mean `{close}`?")),
        None => problem.help(format!("it has {}", crate::spec::list(known, "and"))),
    }
}
