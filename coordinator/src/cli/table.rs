//! Tables as the server makes them, printed as kubectl prints them.

use std::io::{self, Write};

use serde::Deserialize;
use serde_json::Value;

/// What kubectl asks for.
pub(super) const ACCEPT: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
const GAP: usize = 3;

/// `meta.k8s.io/v1` Table, the part that is printed.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Table {
    #[serde(default)]
    pub(super) metadata: ListMeta,
    #[serde(default)]
    column_definitions: Vec<Column>,
    #[serde(default)]
    pub(super) rows: Vec<Row>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ListMeta {
    #[serde(default, rename = "continue")]
    pub(super) next: String,
}

#[derive(Debug, Deserialize)]
struct Column {
    name: String,
    /// Above 0: only with `-o wide`.
    #[serde(default)]
    priority: i32,
}

#[derive(Debug, Deserialize)]
pub(super) struct Row {
    cells: Vec<Value>,
    #[serde(default)]
    object: Value,
}

impl Table {
    /// The rows of both, which have the same columns.
    pub(super) fn join(mut self, other: Self) -> Self {
        self.rows.extend(other.rows);
        self
    }
}

/// How rows are shown.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Style {
    pub(super) wide: bool,
    pub(super) namespaces: bool,
    pub(super) no_headers: bool,
    /// Put before each name: `job.batch/`, where several kinds are shown.
    pub(super) kind: Option<&'static str>,
}

/// Prints tables of one kind in turn, with one header.
pub(super) struct Printer {
    style: Style,
    /// The shown columns; known from the first table that names them.
    columns: Vec<(usize, String)>,
    widths: Vec<usize>,
    header_printed: bool,
}

impl Printer {
    pub(super) fn new(style: Style) -> Self {
        Self { style, columns: Vec::new(), widths: Vec::new(), header_printed: false }
    }

    /// Whether something was printed.
    pub(super) fn begun(&self) -> bool {
        self.header_printed
    }

    /// Takes the columns from a table without printing it.
    pub(super) fn learn(&mut self, table: &Table) {
        if self.columns.is_empty() {
            self.columns = table
                .column_definitions
                .iter()
                .enumerate()
                .filter(|(_, column)| self.style.wide || column.priority <= 0)
                .map(|(at, column)| (at, column.name.to_uppercase()))
                .collect();
        }
    }

    /// Prints the rows. Columns are as wide as the widest cell so far, so that
    /// the rows of a watch stay below each other where they can.
    pub(super) fn print(&mut self, table: &Table, out: &mut dyn Write) -> io::Result<()> {
        self.learn(table);
        let mut lines: Vec<Vec<String>> = Vec::new();
        if !self.header_printed && !self.style.no_headers {
            let namespace = self.style.namespaces.then(|| "NAMESPACE".to_owned());
            lines.push(
                namespace.into_iter().chain(self.columns.iter().map(|c| c.1.clone())).collect(),
            );
        }
        self.header_printed = true;
        lines.extend(table.rows.iter().map(|row| self.cells(row)));

        for line in &lines {
            self.widths.resize(self.widths.len().max(line.len()), 0);
            for (width, cell) in self.widths.iter_mut().zip(line) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for line in &lines {
            let mut text = String::new();
            for (cell, width) in line.iter().zip(&self.widths) {
                text.push_str(cell);
                text.extend(std::iter::repeat_n(' ', width - cell.chars().count() + GAP));
            }
            writeln!(out, "{}", text.trim_end())?;
        }
        Ok(())
    }

    fn cells(&self, row: &Row) -> Vec<String> {
        let namespace = self.style.namespaces.then(|| plain(&row.object["metadata"]["namespace"]));
        let cells = self.columns.iter().enumerate().map(|(at, (index, _))| {
            let cell = plain(row.cells.get(*index).unwrap_or(&Value::Null));
            match self.style.kind {
                Some(kind) if at == 0 => format!("{kind}{cell}"),
                _ => cell,
            }
        });
        namespace.into_iter().chain(cells).collect()
    }
}

fn plain(cell: &Value) -> String {
    match cell {
        Value::Null => "<none>".to_owned(),
        Value::String(text) if text.is_empty() => "<none>".to_owned(),
        // A cell stays on its line.
        Value::String(text) => text.replace(['\n', '\r'], " "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn printed(tables: &[Value], style: Style) -> String {
        let mut printer = Printer::new(style);
        let mut out = Vec::new();
        for table in tables {
            let table = serde_json::from_value(table.clone()).expect("a table");
            printer.print(&table, &mut out).expect("printed");
        }
        String::from_utf8(out).expect("text")
    }

    fn table() -> Value {
        json!({
            "columnDefinitions": [
                {"name": "Name", "priority": 0}, {"name": "Status"}, {"name": "Images", "priority": 1}
            ],
            "rows": [
                {"cells": ["render", "Running", "a"], "object": {"metadata": {"namespace": "default"}}},
                {"cells": ["x", "Complete", "b"], "object": {"metadata": {"namespace": "other"}}},
            ]
        })
    }

    #[test]
    fn columns_are_aligned_and_wide_ones_left_out() {
        assert_eq!(
            printed(&[table()], Style::default()),
            "NAME     STATUS\nrender   Running\nx        Complete\n"
        );
    }

    #[test]
    fn namespaces_kinds_and_wide_columns_are_shown_when_asked() {
        let style =
            Style { wide: true, namespaces: true, no_headers: false, kind: Some("job.batch/") };
        assert_eq!(
            printed(&[table()], style),
            "NAMESPACE   NAME               STATUS     IMAGES\n\
             default     job.batch/render   Running    a\n\
             other       job.batch/x        Complete   b\n"
        );
    }

    #[test]
    fn later_tables_have_no_header_and_need_no_columns() {
        let later = json!({"rows": [{"cells": ["render", "Complete", "a"]}]});
        assert_eq!(
            printed(&[table(), later], Style::default()),
            "NAME     STATUS\nrender   Running\nx        Complete\nrender   Complete\n"
        );
    }
}
