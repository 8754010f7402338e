//! Completion indexes as text: `1,3-5,7`.

use longshore_job::IndexSet;

/// The intervals of a text, first and last index of each, in Kubernetes' words if it is wrong: they
/// must rise, and all indexes be lower than the completions.
pub(crate) fn parse_intervals(text: &str, completions: i32) -> Result<Vec<(u32, u32)>, String> {
    let mut intervals = Vec::new();
    if text.is_empty() {
        return Ok(intervals);
    }
    let mut previous: Option<u32> = None;
    for part in text.split(',') {
        let (first, last) = match part.split_once('-') {
            None => {
                let index = parse_index(part, completions)?;
                (index, index)
            }
            Some((_, rest)) if rest.contains('-') => {
                return Err(format!(
                    "the fragment {part:?} violates the requirement that an index interval can \
                     have at most two parts separated by '-'"
                ));
            }
            Some((first, last)) => {
                let (first, last) =
                    (parse_index(first, completions)?, parse_index(last, completions)?);
                if first >= last {
                    return Err(out_of_order(first, last));
                }
                (first, last)
            }
        };
        if let Some(previous) = previous.filter(|previous| *previous >= first) {
            return Err(out_of_order(previous, first));
        }
        previous = Some(last);
        intervals.push((first, last));
    }
    Ok(intervals)
}

/// The set of a valid text.
pub(crate) fn index_set(text: &str, completions: i32) -> IndexSet {
    let intervals = parse_intervals(text, completions).unwrap_or_default();
    intervals.into_iter().flat_map(|(first, last)| first..=last).collect()
}

fn parse_index(text: &str, completions: i32) -> Result<u32, String> {
    // Digits only, as Go's Atoi would also take a sign.
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits {
        return Err(format!("cannot convert string to integer for index: {text:?}"));
    }
    match text.parse::<u32>() {
        Ok(index) if i64::from(index) < i64::from(completions) => Ok(index),
        _ => Err(format!("too large index: {text:?}")),
    }
}

fn out_of_order(previous: u32, current: u32) -> String {
    format!("non-increasing order, previous: {previous}, current: {current}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_kubernetes_are_read() {
        assert_eq!(parse_intervals("", 9), Ok(vec![]));
        assert_eq!(parse_intervals("1,3-5,7", 9), Ok(vec![(1, 1), (3, 5), (7, 7)]));
        assert_eq!(parse_intervals("0-1", 2), Ok(vec![(0, 1)]));
        assert_eq!(index_set("1,3-5", 9).to_string(), "1,3-5");
    }

    #[test]
    fn what_is_wrong_is_told_in_kubernetes_words() {
        for (text, problem) in [
            ("9", r#"too large index: "9""#),
            ("1-9", r#"too large index: "9""#),
            ("99999999999", r#"too large index: "99999999999""#),
            ("x", r#"cannot convert string to integer for index: "x""#),
            ("1,", r#"cannot convert string to integer for index: """#),
            ("-1", r#"cannot convert string to integer for index: """#),
            ("+1", r#"cannot convert string to integer for index: "+1""#),
            ("3-3", "non-increasing order, previous: 3, current: 3"),
            ("3,2", "non-increasing order, previous: 3, current: 2"),
            ("1-3,3", "non-increasing order, previous: 3, current: 3"),
            ("1-2-3", "at most two parts separated by '-'"),
        ] {
            let found = parse_intervals(text, 9).expect_err(text);
            assert!(found.contains(problem), "{text}: {found}");
        }
    }
}
