//! The progress of a Job: a bar on a terminal, plain lines elsewhere.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use longshore_api::human;
use serde_json::Value;

/// The rate is that of the last while, so that it follows what happens.
const WINDOW: Duration = Duration::from_secs(30);
/// The rate of a shorter time says nothing.
const SHORTEST: Duration = Duration::from_secs(1);

/// A Job's counters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) done: u64,
    running: u64,
    pub(super) failed: u64,
    /// How many successes make it complete; none for a work queue.
    total: Option<u64>,
    suspended: bool,
}

impl Counts {
    pub(super) fn of(job: &Value) -> Self {
        let number = |field: &str| job["status"][field].as_u64().unwrap_or(0);
        Self {
            done: number("succeeded"),
            running: number("active"),
            failed: number("failed"),
            total: job["spec"]["completions"].as_u64(),
            suspended: job["spec"]["suspend"].as_bool().unwrap_or(false),
        }
    }
}

/// Where the progress is shown.
pub(super) struct Progress {
    terminal: bool,
    /// On a terminal, from the first counters on.
    bar: Option<ProgressBar>,
    counts: Counts,
    printed: Option<Counts>,
    samples: VecDeque<(Instant, u64)>,
}

impl Progress {
    pub(super) fn start() -> Self {
        let terminal = io::stdout().is_terminal() && io::stderr().is_terminal();
        Self {
            terminal,
            bar: None,
            counts: Counts::default(),
            printed: None,
            samples: VecDeque::new(),
        }
    }

    /// Takes the Job's counters. The bar shows them at once; a plain line
    /// follows with the next [`Progress::tick`], unless it is the first.
    pub(super) fn update(&mut self, counts: Counts) -> io::Result<()> {
        let now = Instant::now();
        if self.samples.back().is_none_or(|(_, done)| *done != counts.done) {
            self.samples.push_back((now, counts.done));
        }
        while self.samples.len() > 2
            && self.samples.front().is_some_and(|(at, _)| now.duration_since(*at) > WINDOW)
        {
            self.samples.pop_front();
        }
        self.counts = counts;
        if self.terminal && self.bar.is_none() {
            self.bar = Some(bar());
        }
        match &self.bar {
            Some(bar) => {
                bar.set_length(self.counts.total.unwrap_or(self.counts.done));
                bar.set_position(self.counts.done);
                bar.set_message(self.line(now));
                Ok(())
            }
            None if self.printed.is_none() => self.print(),
            None => Ok(()),
        }
    }

    /// Once a second: a plain line if something changed, a fresh rate on the bar.
    pub(super) fn tick(&mut self) -> io::Result<()> {
        match &self.bar {
            // Nothing is known of the Job yet.
            _ if self.samples.is_empty() => Ok(()),
            Some(bar) => {
                bar.set_message(self.line(Instant::now()));
                Ok(())
            }
            None if self.printed.as_ref() != Some(&self.counts) => self.print(),
            None => Ok(()),
        }
    }

    /// A line of text that the bar must not run into.
    pub(super) fn say(&self, text: &str) -> io::Result<()> {
        let print = || writeln!(io::stdout(), "{text}");
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// Leaves the last state to be seen.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.tick()?;
        if let Some(bar) = &self.bar {
            bar.abandon();
            // The cursor stays behind the bar.
            writeln!(io::stderr())?;
        }
        Ok(())
    }

    fn print(&mut self) -> io::Result<()> {
        writeln!(io::stdout(), "{}", self.line(Instant::now()))?;
        self.printed = Some(self.counts.clone());
        Ok(())
    }

    fn line(&self, now: Instant) -> String {
        let counts = &self.counts;
        let mut line = match counts.total {
            Some(total) => format!("{}/{total} done", counts.done),
            None => format!("{} done", counts.done),
        };
        line.push_str(&format!(", {} running, {} failed", counts.running, counts.failed));
        if counts.suspended {
            line.push_str(", suspended");
        } else if let Some(rate) = self.rate(now) {
            line.push_str(&format!(", {rate:.1}/s"));
            let left = counts.total.unwrap_or(0).saturating_sub(counts.done);
            if left > 0 {
                let millis = (left as f64 / rate * 1000.0) as u64;
                line.push_str(&format!(", {} left", human::duration(millis)));
            }
        }
        line
    }

    /// Successes in a second, over the window.
    fn rate(&self, now: Instant) -> Option<f64> {
        let (since, before) = self.samples.front()?;
        let time = now.duration_since(*since);
        let done = self.counts.done.checked_sub(*before).filter(|done| *done > 0)?;
        (time >= SHORTEST).then(|| done as f64 / time.as_secs_f64())
    }
}

fn bar() -> ProgressBar {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("[{bar:30}] {msg}") {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn progress(samples: &[(u64, u64)], now: Instant, counts: Counts) -> Progress {
        let samples = samples.iter().map(|(ago, done)| (now - Duration::from_secs(*ago), *done));
        Progress { terminal: false, bar: None, counts, printed: None, samples: samples.collect() }
    }

    #[test]
    fn a_line_has_counts_rate_and_time_left() {
        let job = json!({
            "spec": {"completions": 100}, "status": {"succeeded": 20, "active": 4, "failed": 1}
        });
        let now = Instant::now() + Duration::from_secs(100);
        let progress = progress(&[(10, 0), (0, 20)], now, Counts::of(&job));
        assert_eq!(progress.line(now), "20/100 done, 4 running, 1 failed, 2.0/s, 40s left");
    }

    #[test]
    fn a_line_says_only_what_is_known() {
        let now = Instant::now() + Duration::from_secs(100);
        let counts = Counts { running: 2, suspended: true, ..Counts::default() };
        let progress = progress(&[(10, 0)], now, counts);
        assert_eq!(progress.line(now), "0 done, 2 running, 0 failed, suspended");
    }
}
