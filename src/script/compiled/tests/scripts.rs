//! Scripts made at random: the common kind for the most part, with what is not of it in between.

use std::fmt::Write;

use rand::RngExt;
use rand_pcg::Pcg64;

/// The fields of payloads that scripts read.
pub(super) const FIELDS: [&str; 9] =
    ["total", "amount", "count", "size", "name", "label", "flag", "items", "place"];

/// How deep expressions nest.
const DEPTH_MAX: usize = 4;

/// Writes scripts.
pub(super) struct Writer<'r> {
    random: &'r mut Pcg64,
    /// The variables that are known.
    variables: Vec<String>,
    depth: usize,
    /// An enricher, which may change its event; else a rule, which has a state and `out`.
    is_enricher: bool,
    has_event: bool,
    /// Helpers call only those before them.
    helpers: usize,
}

impl<'r> Writer<'r> {
    pub(super) fn new(random: &'r mut Pcg64) -> Self {
        let is_enricher = random.random();
        Self { random, variables: Vec::new(), depth: 0, is_enricher, has_event: true, helpers: 0 }
    }

    pub(super) fn script(mut self) -> String {
        let mut text = "const LIMIT = 100.0;\nconst NAMES = [\"a\", \"store_12\"];\n".to_owned();
        let (enricher, mut helpers) = (self.is_enricher, String::new());
        for number in 0..2 {
            self.variables = vec!["one".to_owned(), "two".to_owned()];
            (self.has_event, self.is_enricher) = (false, true);
            let body = self.body();
            write!(helpers, "fn helper{number}(one, two) {{\n{body}}}\n").unwrap();
            self.helpers = number + 1;
        }
        self.is_enricher = enricher;
        self.has_event = true;
        self.variables.clear();
        let body = self.body();
        if enricher {
            write!(text, "fn enrich(event) {{\n{body}}}\n").unwrap();
        } else {
            write!(text, "fn on_event(event, state, out) {{\n{body}}}\n").unwrap();
            self.has_event = false;
            self.variables = vec!["name".to_owned()];
            let body = self.body();
            write!(text, "fn on_timer(name, state, out) {{\n{body}}}\n").unwrap();
            self.variables.clear();
            let body = self.body();
            write!(text, "fn on_end(state, out) {{\n{body}}}\n").unwrap();
        }
        text + helpers.as_str()
    }

    fn chance(&mut self, of: usize) -> bool {
        self.random.random_range(0..of) == 0
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.random.random_range(0..from.len())]
    }

    fn body(&mut self) -> String {
        let mut text = String::new();
        for _ in 0..self.random.random_range(1..6) {
            text += &self.statement();
        }
        if self.chance(3) {
            text += &self.any();
            text += "\n";
        }
        text
    }

    fn block(&mut self) -> String {
        let known = self.variables.len();
        let mut text = String::new();
        for _ in 0..self.random.random_range(0..3) {
            text += &self.statement();
        }
        self.variables.truncate(known);
        text
    }

    fn statement(&mut self) -> String {
        self.depth += 1;
        let deep = self.depth > DEPTH_MAX;
        let text = match self.random.random_range(0..if deep { 6 } else { 12 }) {
            0 | 1 => {
                let value = self.any();
                let name = if self.chance(3) {
                    "again".to_owned()
                } else {
                    format!("v{}", self.variables.len())
                };
                self.variables.push(name.clone());
                format!("let {name} = {value};\n")
            }
            2 | 3 => {
                let (target, operator) = (self.target(), self.assignment());
                let value = match (operator, target.as_str()) {
                    ("=", _) => self.any(),
                    ("+=", "event.payload.name" | "event.payload.label") => self.text(),
                    _ => self.mostly(Self::number),
                };
                format!("{target} {operator} {value};\n")
            }
            4 if !self.is_enricher => self.output(),
            4 | 5 => format!("{};\n", self.any()),
            6 | 7 => {
                let test = self.truth();
                let (one, two) = (self.block(), self.block());
                if self.chance(2) {
                    format!("if {test} {{\n{one}}}\n")
                } else {
                    format!("if {test} {{\n{one}}} else {{\n{two}}}\n")
                }
            }
            8 => {
                let value = self.any();
                let (one, two, three) = (self.block(), self.any(), self.block());
                let last = if self.chance(4) { "" } else { "_ => { }," };
                format!(
                    "switch {value} {{ \"a\" | 1 => {{\n{one}}}, \"store_12\" => {two}, 2..9 | true => {{\n{three}}}, {last} }}\n"
                )
            }
            9 => {
                let (test, value) = (self.truth(), self.any());
                let what = self.pick(&["return", "return", "throw"]);
                format!("if {test} {{ {what} {value}; }}\n")
            }
            10 => format!("{{\n{}}}\n", self.block()),
            _ => {
                if self.chance(9) {
                    let body = self.block();
                    format!("for i in 0..3 {{\n{body}}}\n")
                } else if self.has_event && self.is_enricher {
                    self.pick(&[
                        "event.payload.remove(\"count\");\n",
                        "event.payload = #{ b: 1, a: event.payload.name };\n",
                        "event.session_id = ();\n",
                        "event.event_type = \"other\";\n",
                        "event.payload.items.push(3);\n",
                        "event.time_ms += 1;\n",
                        "event.payload.place.city = \"Bonn\";\n",
                    ])
                    .to_owned()
                } else if !self.is_enricher {
                    self.pick(&[
                        "state.remove(\"n\");\n",
                        "state.clear();\n",
                        "state.list = [1, 2];\n",
                    ])
                    .to_owned()
                } else {
                    String::new()
                }
            }
        };
        self.depth -= 1;
        text
    }

    fn output(&mut self) -> String {
        match self.random.random_range(0..5) {
            0 | 1 => {
                let (one, two) = (self.any(), self.any());
                let kind = self.pick(&["\"made\"", "\"receipt_created\"", "\"m\" + 1"]);
                let envelope = self.pick(&[
                    "",
                    "",
                    ", #{ session_id: \"s\", correlation_id: () }",
                    ", #{ source: 1 }",
                ]);
                format!(
                    "out.emit({kind}, #{{ z: {one}, a: {two}, m: [1, #{{ q: () }}] }}{envelope});\n"
                )
            }
            2 => {
                format!("out.emit_after({}, \"later\", #{{ x: {} }});\n", self.delay(), self.any())
            }
            3 => format!("out.timer({}, {});\n", self.text(), self.delay()),
            _ => format!("out.cancel({});\n", self.text()),
        }
    }

    fn delay(&mut self) -> String {
        if self.chance(4) {
            self.number()
        } else {
            self.pick(&["\"5m\"", "1500", "\"1h30m\"", "0"]).to_owned()
        }
    }

    fn assignment(&mut self) -> &'static str {
        self.pick(&[
            "=", "=", "=", "=", "=", "=", "=", "=", "+=", "+=", "+=", "-=", "*=", "/=", "%=", "**=",
        ])
    }

    fn target(&mut self) -> String {
        let known = self.variables.len();
        if known > 0 && self.chance(3) {
            return self.variables[self.random.random_range(0..known)].clone();
        }
        if self.is_enricher && self.has_event {
            let field = self.pick(&FIELDS);
            return match self.random.random_range(0..4) {
                0 => format!("event.payload[\"{field}\"]"),
                1 => "event.payload.added".to_owned(),
                _ => format!("event.payload.{field}"),
            };
        }
        if !self.is_enricher {
            return self.pick(&["state.n", "state.last", "state[\"label\"]"]).to_owned();
        }
        match known {
            0 => "let x".to_owned(),
            _ => self.variables[self.random.random_range(0..known)].clone(),
        }
    }

    fn any(&mut self) -> String {
        match self.random.random_range(0..10) {
            0..=3 => self.number(),
            4..=6 => self.text(),
            7 => self.truth(),
            8 => self.read(),
            _ if self.chance(4) => self.strange(),
            _ => "()".to_owned(),
        }
    }

    fn strange(&mut self) -> String {
        let text = self.pick(&[
            "()",
            "'c'",
            "[1, 2]",
            "#{ a: 1 }",
            "NAMES[1]",
            "type_of(1)",
            "lookup(\"sizes\", 1)",
            "lookup(\"sizes\", 2).label",
            "lookup(\"sizes\", 9)",
            "rand()",
            "rand_int(1, 6)",
            "rand_int(6, 1)",
            "({ let q = 1; q + 1 })",
            "(if LIMIT > 1.0 { 5 } else { \"x\" })",
            "1 << 3",
            "format_time(1500)",
            "parse_time(\"2024-11-29T10:00:00Z\")",
        ]);
        text.to_owned()
    }

    fn read(&mut self) -> String {
        let known = self.variables.len();
        if known > 0 && self.chance(2) {
            return self.variables[self.random.random_range(0..known)].clone();
        }
        let field = self.pick(&FIELDS);
        if self.has_event {
            return match self.random.random_range(0..7) {
                0 => format!("event.payload[\"{field}\"]"),
                1 => self
                    .pick(&[
                        "event.event_type",
                        "event.partition_key",
                        "event.time_ms",
                        "event.trace_id",
                        "event.ingest_timestamp",
                        "event.payload.place.city",
                        "event.payload.place?.city",
                        "event.payload.gone?.deep.er",
                        "event.payload.place.none",
                        "event.payload.at",
                    ])
                    .to_owned(),
                _ => format!("event.payload.{field}"),
            };
        }
        if self.is_enricher {
            "LIMIT".to_owned()
        } else {
            self.pick(&["state.n", "state.last", "state.label"]).to_owned()
        }
    }

    /// Something that is mostly a number, or mostly a text.
    fn read_one_of(&mut self, fields: &[&str], else_this: &str) -> String {
        let field = self.pick(fields);
        match self.random.random_range(0..6) {
            0 => self.read(),
            _ if self.has_event => format!("event.payload.{field}"),
            1..=3 if !self.is_enricher => {
                let field = if else_this == "0" { "n" } else { "label" };
                format!("(state.{field} ?? {else_this})")
            }
            _ => else_this.to_owned(),
        }
    }

    /// A value of the type that is wanted, for the most part.
    fn mostly(&mut self, wanted: fn(&mut Self) -> String) -> String {
        if self.chance(12) { self.any() } else { wanted(self) }
    }

    fn number(&mut self) -> String {
        self.depth += 1;
        let text = if self.depth > DEPTH_MAX {
            self.pick(&["1", "2", "0", "-3", "2.5", "0.1", "LIMIT", "9223372036854775807"])
                .to_owned()
        } else {
            match self.random.random_range(0..9) {
                0 | 1 => self.read_one_of(&["total", "amount", "count", "size"], "0"),
                2 => self.pick(&["1", "2", "100", "0.5", "LIMIT"]).to_owned(),
                3..=5 => {
                    let operator = self.pick(&["+", "-", "*", "+", "-", "*", "/", "%", "+", "-"]);
                    format!("({} {operator} {})", self.number(), self.mostly(Self::number))
                }
                6 => {
                    let name = self.pick(&[
                        "abs",
                        "floor",
                        "ceiling",
                        "round",
                        "to_int",
                        "to_float",
                        "sqrt",
                        "len",
                        "parse_int",
                        "parse_float",
                        "fraction",
                        "int",
                    ]);
                    if self.chance(2) {
                        format!("{name}({})", self.any())
                    } else {
                        format!("({}).{name}()", self.any())
                    }
                }
                7 => {
                    let name = self.pick(&["max", "min"]);
                    format!("{name}({}, {})", self.number(), self.number())
                }
                _ => match self.helpers {
                    0 => format!("({} ?? {})", self.read(), self.number()),
                    helpers => {
                        let number = self.random.random_range(0..helpers);
                        format!("helper{number}({}, {})", self.any(), self.any())
                    }
                },
            }
        };
        self.depth -= 1;
        text
    }

    fn text(&mut self) -> String {
        self.depth += 1;
        let text = if self.depth > DEPTH_MAX {
            self.pick(&["\"a\"", "\"\"", "\"store_12\"", "\"Größe\""]).to_owned()
        } else {
            match self.random.random_range(0..7) {
                0 | 1 => self.read_one_of(&["name", "label"], "\"z\""),
                2 => self.pick(&["\"a\"", "\"b\"", "\"7\""]).to_owned(),
                3 => format!("({} + {})", self.text(), self.any()),
                4 => format!("`x${{{}}}y${{{}}}`", self.any(), self.any()),
                5 => {
                    let name = self.pick(&["to_upper", "to_lower", "to_string"]);
                    format!("({}).{name}()", self.mostly(Self::text))
                }
                _ => {
                    let (text, start) = (self.text(), self.pick(&["0", "2", "-2", "9", "-99"]));
                    if self.chance(2) {
                        format!("({text}).sub_string({start})")
                    } else {
                        format!(
                            "sub_string({text}, {start}, {})",
                            self.pick(&["1", "3", "-1", "99"])
                        )
                    }
                }
            }
        };
        self.depth -= 1;
        text
    }

    fn truth(&mut self) -> String {
        self.depth += 1;
        let text = if self.depth > DEPTH_MAX {
            self.pick(&["true", "false"]).to_owned()
        } else {
            match self.random.random_range(0..9) {
                0..=3 => {
                    let operator = self.pick(&["==", "!=", "<", "<=", ">", ">=", "=="]);
                    format!("{} {operator} {}", self.any(), self.any())
                }
                4 => format!("({} && {})", self.truth(), self.truth()),
                5 => format!("({} || {})", self.truth(), self.truth()),
                6 => format!("!({})", self.truth()),
                7 => {
                    let name = self.pick(&["starts_with", "ends_with", "contains"]);
                    format!("({}).{name}({})", self.text(), self.text())
                }
                _ => {
                    let within = if self.has_event && self.chance(2) {
                        "event.payload"
                    } else if self.is_enricher {
                        self.pick(&["NAMES", "[1, 2.0, \"a\"]", "[1, 2, 3]", "\"abc\""])
                    } else {
                        self.pick(&["state", "[1, \"a\"]"])
                    };
                    format!("{} in {within}", self.any())
                }
            }
        };
        self.depth -= 1;
        text
    }
}
