//! `engine graph`

use crate::harness::{Test, project_text};

const STAGES: [&str; 5] = ["chain", "high_value", "rush", "batches", "out"];

#[test]
fn every_stage_and_edge_of_the_quickstart_is_drawn() {
    let file = project_text("pipelines/quickstart.yaml");
    for (format, edge) in [("mermaid", " --> "), ("dot", " -> "), ("svg", "class=\"edge\"")] {
        let drawn = Test::new(&["graph", &file, "--format", format]).run().exits(0);
        assert_eq!(drawn.stdout.matches(edge).count(), 4, "{}", drawn.stdout);
        STAGES.into_iter().fold(drawn, |drawn, stage| drawn.prints(stage)).prints("when event.");
    }
}

#[test]
fn a_wrong_pipeline_is_not_drawn() {
    Test::new(&["graph", "-"]).stdin("sources: {}\n").run().exits(2).prints_lines(0);
}
