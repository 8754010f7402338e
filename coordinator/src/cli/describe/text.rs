//! Text in the form of `kubectl describe`: keys, values behind them in one
//! column, and small tables.

use jiff::Timestamp;
use longshore_api::human;
use serde_json::Value;

/// Where values begin.
const COLUMN: usize = 20;
const GAP: usize = 2;

#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    pub(super) fn finish(self) -> String {
        self.0
    }

    /// A line of its own, at a depth of two spaces each.
    pub(super) fn line(&mut self, depth: usize, text: &str) {
        self.0.push_str(&"  ".repeat(depth));
        self.0.push_str(text);
        self.0.push('\n');
    }

    /// `Key:    value`.
    pub(super) fn field(&mut self, depth: usize, key: &str, value: &str) {
        let width = COLUMN.saturating_sub(2 * depth);
        self.line(depth, format!("{:<width$}{value}", format!("{key}: ")).trim_end());
    }

    /// The same, if the value is there.
    pub(super) fn field_if(&mut self, depth: usize, key: &str, value: &Value) {
        if let Some(value) = plain(value) {
            self.field(depth, key, &value);
        }
    }

    /// The same for a time.
    pub(super) fn time_if(&mut self, depth: usize, key: &str, value: &Value) {
        if let Some(at) = time(value) {
            self.field(depth, key, &at.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string());
        }
    }

    /// Several values below each other, the key before the first.
    pub(super) fn several(&mut self, depth: usize, key: &str, values: &[String]) {
        match values.split_first() {
            None => self.field(depth, key, "<none>"),
            Some((first, rest)) => {
                self.field(depth, key, first);
                for value in rest {
                    let width = COLUMN.saturating_sub(2 * depth);
                    self.line(depth, &format!("{:width$}{value}", ""));
                }
            }
        }
    }

    /// A map's entries, `key=value`.
    pub(super) fn map(&mut self, depth: usize, key: &str, map: &Value, separator: &str) {
        let entries = map.as_object().into_iter().flatten();
        let entries: Vec<String> = entries
            // What `apply` keeps for itself repeats the whole object.
            .filter(|(name, _)| name.as_str() != super::super::merge::LAST_APPLIED)
            .map(|(name, value)| format!("{name}{separator}{}", plain(value).unwrap_or_default()))
            .collect();
        self.several(depth, key, &entries);
    }

    /// A list of words, one below the other at the next depth.
    pub(super) fn words(&mut self, depth: usize, key: &str, list: &Value) {
        let Some(words) = list.as_array().filter(|words| !words.is_empty()) else { return };
        self.line(depth, &format!("{key}:"));
        for word in words {
            for line in plain(word).unwrap_or_default().lines() {
                self.line(depth + 1, line);
            }
        }
    }

    /// A table with a rule below its head; columns as wide as they need.
    pub(super) fn table(&mut self, depth: usize, head: &[&str], rows: &[Vec<String>]) {
        let rule: Vec<String> = head.iter().map(|name| "-".repeat(name.len())).collect();
        let head: Vec<String> = head.iter().map(|name| (*name).to_owned()).collect();
        let lines: Vec<&Vec<String>> = [&head, &rule].into_iter().chain(rows).collect();
        let mut widths = vec![0; head.len()];
        for line in &lines {
            for (width, cell) in widths.iter_mut().zip(line.iter()) {
                *width = (*width).max(cell.chars().count());
            }
        }
        for line in lines {
            let cells = line.iter().zip(&widths).map(|(cell, width)| {
                format!("{cell}{}", " ".repeat(width - cell.chars().count() + GAP))
            });
            self.line(depth, cells.collect::<String>().trim_end());
        }
    }

    pub(super) fn conditions(&mut self, object: &Value) {
        let Some(all) = object["status"]["conditions"].as_array().filter(|all| !all.is_empty())
        else {
            return;
        };
        self.line(0, "Conditions:");
        let cell = |condition: &Value, field: &str| plain(&condition[field]).unwrap_or_default();
        let rows: Vec<Vec<String>> = all
            .iter()
            .map(|c| ["type", "status", "reason", "message"].map(|f| cell(c, f)).to_vec())
            .collect();
        self.table(1, &["Type", "Status", "Reason", "Message"], &rows);
    }

    /// The events, the oldest first.
    pub(super) fn events(&mut self, mut events: Vec<Value>) {
        if events.is_empty() {
            self.field(0, "Events", "<none>");
            return;
        }
        events.sort_by_cached_key(|event| plain(&event["lastTimestamp"]));
        let rows: Vec<Vec<String>> = events
            .iter()
            .map(|event| {
                let count = event["count"].as_u64().unwrap_or(1);
                let last = age(&event["lastTimestamp"]);
                let age = if count > 1 {
                    format!("{last} (x{count} over {})", age(&event["firstTimestamp"]))
                } else {
                    last
                };
                vec![
                    plain(&event["type"]).unwrap_or_default(),
                    plain(&event["reason"]).unwrap_or_default(),
                    age,
                    plain(&event["source"]["component"]).unwrap_or_default(),
                    plain(&event["message"]).unwrap_or_default(),
                ]
            })
            .collect();
        self.line(0, "Events:");
        self.table(1, &["Type", "Reason", "Age", "From", "Message"], &rows);
    }
}

/// A value as text; none if it isn't set.
pub(super) fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// The time between two moments, in short.
pub(super) fn between(from: &Value, to: &Value) -> Option<String> {
    let millis = time(to)?.as_millisecond() - time(from)?.as_millisecond();
    Some(human::duration(u64::try_from(millis).unwrap_or(0)))
}

fn age(since: &Value) -> String {
    let millis = time(since).map(|at| Timestamp::now().as_millisecond() - at.as_millisecond());
    millis.map_or_else(
        || "<unknown>".to_owned(),
        |millis| human::duration(u64::try_from(millis).unwrap_or(0)),
    )
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}
