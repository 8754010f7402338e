//! Durations and ages as kubectl prints them, and durations as users write them.

use longshore_job::Millis;

const SECOND: Millis = 1_000;
const MINUTE: Millis = 60 * SECOND;
const HOUR: Millis = 60 * MINUTE;
const DAY: Millis = 24 * HOUR;

/// A duration in short, as Kubernetes' `HumanDuration` has it: `12s`, `3m4s`, `5h`, `2d3h`.
pub fn duration(length: Millis) -> String {
    let seconds = length / SECOND;
    let minutes = length / MINUTE;
    let hours = length / HOUR;
    let days = hours / 24;
    let years = days / 365;
    if seconds < 60 * 2 {
        return format!("{seconds}s");
    }
    if minutes < 10 {
        return with_rest(minutes, "m", seconds % 60, "s");
    }
    if minutes < 60 * 3 {
        return format!("{minutes}m");
    }
    if hours < 8 {
        return with_rest(hours, "h", minutes % 60, "m");
    }
    if hours < 48 {
        return format!("{hours}h");
    }
    if hours < 24 * 8 {
        return with_rest(days, "d", hours % 24, "h");
    }
    if days < 365 * 2 {
        return format!("{days}d");
    }
    if days < 365 * 8 {
        return with_rest(years, "y", days % 365, "d");
    }
    format!("{years}y")
}

/// The time since a moment, in short; `<unknown>` where there is none.
pub fn age(since: Option<Millis>, now: Millis) -> String {
    since.map_or_else(|| "<unknown>".into(), |since| duration(now.saturating_sub(since)))
}

/// A duration as users write it in annotations: numbers with `ms`, `s`, `m` or `h`, one after the
/// other, such as `1s`, `500ms`, `1h30m`, `1.5s`. `None` if it isn't one, or is longer than a year.
pub fn parse_duration(text: &str) -> Option<Millis> {
    let mut rest = text;
    let mut total: f64 = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let number: f64 = number.parse().ok()?;
        let letters = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let unit = match unit {
            "ms" => 1,
            "s" => SECOND,
            "m" => MINUTE,
            "h" => HOUR,
            _ => return None,
        };
        total += number * unit as f64;
        rest = after;
    }
    // Past the check the value is small, whole and not negative.
    (total.is_finite() && total <= (366 * DAY) as f64).then(|| total.round() as Millis)
}

fn with_rest(whole: u64, unit: &str, rest: u64, rest_unit: &str) -> String {
    if rest == 0 { format!("{whole}{unit}") } else { format!("{whole}{unit}{rest}{rest_unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_kubernetes() {
        // The cases of k8s.io/apimachinery's own test.
        let cases = [
            (1_000, "1s"),
            (70_000, "70s"),
            (190_000, "3m10s"),
            (70 * MINUTE, "70m"),
            (47 * HOUR, "47h"),
            (49 * HOUR, "2d1h"),
            (8 * DAY + 2 * HOUR, "8d"),
            (367 * DAY, "367d"),
            (365 * 2 * DAY + 25 * HOUR, "2y1d"),
            (365 * 8 * DAY + 2 * DAY, "8y"),
            (999, "0s"),
            (119_000, "119s"),
            (120_000, "2m"),
            (10 * MINUTE + 30_000, "10m"),
            (3 * HOUR, "3h"),
            (7 * HOUR + 59 * MINUTE, "7h59m"),
            (48 * HOUR, "2d"),
        ];
        for (length, text) in cases {
            assert_eq!(duration(length), text, "{length}");
        }
        assert_eq!(age(None, 5), "<unknown>");
        assert_eq!(age(Some(5_000), 2_000), "0s");
    }

    #[test]
    fn written_durations_are_read() {
        assert_eq!(parse_duration("1s"), Some(1_000));
        assert_eq!(parse_duration("500ms"), Some(500));
        assert_eq!(parse_duration("10m"), Some(600_000));
        assert_eq!(parse_duration("1h30m"), Some(5_400_000));
        assert_eq!(parse_duration("1.5s"), Some(1_500));
        for wrong in ["", "1", "s", "-1s", "1 s", "1d", "1s2", "inf", "1..s", "99999999h", "+1s"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
    }
}
