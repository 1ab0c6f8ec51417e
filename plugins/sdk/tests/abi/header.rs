//! Reads `engine_plugin.h` as far as a test needs it: its constants, and its structs with their
//! fields in order.

use std::fmt::Write as _;

/// The names of a header.
pub(crate) struct Header {
    /// Macros that are values, and members of enums.
    pub(crate) constants: Vec<String>,
    /// Those that have a body.
    pub(crate) structs: Vec<Struct>,
}

/// A struct, by its name.
pub(crate) struct Struct {
    pub(crate) name: String,
    pub(crate) fields: Vec<Field>,
}

/// A field of a struct.
pub(crate) struct Field {
    pub(crate) name: String,
    /// Its type as C has it; of a function, with its parameters: `ep_status (ep_batch *, size_t)`.
    pub(crate) kind: String,
}

impl Header {
    pub(crate) fn parse(text: &str) -> Self {
        let text = without_comments(text);
        let mut constants: Vec<String> =
            text.lines().filter_map(macro_that_is_a_value).map(str::to_owned).collect();
        for body in bodies(&text, "enum {") {
            let names = body.split(',').filter_map(|member| member.split('=').next());
            constants.extend(names.map(|name| name.trim().to_owned()));
        }
        let structs = bodies(&text, "typedef struct ")
            .filter_map(|text| {
                let (name, body) = text.split_once('{')?;
                Some(Struct { name: name.trim().to_owned(), fields: fields(body) })
            })
            .collect();
        Self { constants, structs }
    }

    /// A C program that says how its compiler lays out all of it.
    pub(crate) fn program(&self) -> String {
        let mut program = PRINTERS.to_owned();
        for name in &self.constants {
            writeln!(program, "  CONSTANT({name});").unwrap();
        }
        for Struct { name, fields } in &self.structs {
            writeln!(program, "  STRUCT({name});").unwrap();
            for field in fields {
                let Field { name: field, kind } = field;
                writeln!(program, "  FIELD({name}, {field}, \"{kind}\");").unwrap();
            }
        }
        program + "  return 0;\n}\n"
    }
}

const PRINTERS: &str = r#"#include "engine_plugin.h"
#include <stdio.h>

static void text(const char *name, const char *value) { printf("%s \"%s\"\n", name, value); }
static void whole(const char *name, int64_t value) { printf("%s %lld\n", name, (long long)value); }
static void natural(const char *name, uint64_t value) { printf("%s %llu\n", name, (unsigned long long)value); }

#define CONSTANT(name) \
  _Generic((name), char *: text, unsigned: natural, unsigned long: natural, default: whole)(#name, name)
#define STRUCT(type) printf("\n%s: %zu bytes\n", #type, sizeof(type))
#define FIELD(type, field, kind) \
  printf("%4zu %3zu  %s: %s\n", offsetof(type, field), sizeof(((type *)0)->field), #field, kind)

int main(void) {
"#;

fn without_comments(text: &str) -> String {
    let mut rest = text;
    let mut code = String::new();
    while let Some((before, comment)) = rest.split_once("/*") {
        code.push_str(before);
        rest = comment.split_once("*/").expect("a comment ends").1;
    }
    code + rest
}

/// `#define NAME VALUE`, but for those that take arguments, that have no value, or that are no value.
fn macro_that_is_a_value(line: &str) -> Option<&str> {
    let (name, value) = line.strip_prefix("#define ")?.split_once(' ')?;
    let is_value = !name.contains('(') && name != "EP_EXPORT" && !value.trim().is_empty();
    is_value.then_some(name)
}

/// What stands from each opening to the brace at the left edge, or on the same line.
fn bodies<'a>(text: &'a str, opening: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(opening).skip(1).filter_map(|rest| {
        let (end, _) = rest.match_indices('}').find(|(place, _)| {
            let nested = rest[..*place].matches('{').count() - rest[..*place].matches('}').count();
            nested == usize::from(!opening.ends_with('{'))
        })?;
        // `typedef struct ep_ctx ep_ctx;` has no body.
        let declaration = rest.find(';').unwrap_or(end);
        (opening.ends_with('{') || rest[..end].find('{') < Some(declaration))
            .then_some(&rest[..end])
    })
}

fn fields(body: &str) -> Vec<Field> {
    let mut fields = Vec::new();
    for declaration in declarations(body) {
        let declaration = declaration.split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some((returned, rest)) = declaration.split_once("(*") {
            let (name, parameters) = rest.split_once(')').expect("a pointer to a function");
            let kind = format!("{} {parameters}", returned.trim());
            fields.push(Field { name: name.to_owned(), kind });
        } else if let Some((union, name)) = declaration.rsplit_once("} ") {
            fields.push(Field { name: name.to_owned(), kind: format!("{union}}}") });
        } else {
            let (kind, names) = split_type(&declaration);
            let field = |name: &str| Field { name: name.to_owned(), kind: kind.to_owned() };
            fields.extend(names.split(", ").map(field));
        }
    }
    fields
}

/// The declarations of a struct, each without its semicolon; a union in it is one.
fn declarations(body: &str) -> Vec<&str> {
    let (mut start, mut depth) = (0, 0);
    let mut declarations = Vec::new();
    for (place, letter) in body.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ';' if depth == 0 => {
                declarations.push(body[start..place].trim());
                start = place + 1;
            }
            _ => {}
        }
    }
    declarations
}

/// `const char *ptr` is a `const char *` of the name `ptr`; `uint32_t size, reserved` are two.
fn split_type(declaration: &str) -> (&str, &str) {
    let names = declaration.split(", ").next().expect("a declaration has a name");
    let end = names.rfind(['*', ' ']).expect("a declaration has a type") + 1;
    (declaration[..end].trim(), &declaration[end..])
}
