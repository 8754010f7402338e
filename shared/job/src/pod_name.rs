//! The names of Pods, which can be turned back into the index and the attempt.

use crate::{CompletionMode, Index};

/// Kubernetes' alphabet for generated names: no vowels, and no digits that look like them.
const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX: usize = 5;
/// How many suffixes there are: 27 to the power of 5.
const SUFFIXES: u64 = 14_348_907;
/// The longest prefix that leaves room for the suffix in a DNS label.
const MAX_PREFIX: usize = 63 - SUFFIX;

/// `index + STRIDE * attempt` tells all attempts of a NonIndexed Job of up to this many indexes
/// apart, as long as no index was tried more than 143 times.
const STRIDE: u64 = 100_003;
/// Spreads consecutive numbers over the suffixes. Has no factor in common with their count, so that
/// it can be undone by its inverse.
const FACTOR: u64 = 9_301_417;

/// How many suffixes ahead a NonIndexed name is searched: attempts up to some 2,000 are found.
const WRAPS: u64 = 16;

/// The name of an attempt's Pod: `<job>-<index>-<5 characters>` for Indexed Jobs, else
/// `<job>-<5 characters>`, cut to 63 bytes as Kubernetes cuts it.
pub fn pod_name(job: &str, uid: &str, mode: CompletionMode, index: Index, attempt: u32) -> String {
    format!("{}{}", name_prefix(job, mode, index), name_suffix(uid, index, attempt))
}

/// The indexes and attempts that a Pod of this name may stand for: one at most for Indexed Jobs; for
/// others the likeliest first, to be tried in turn. Empty if it isn't the name of a Pod of this Job.
pub fn parse_pod_name(job: &str, uid: &str, mode: CompletionMode, pod: &str) -> Vec<(Index, u32)> {
    let Some((head, number)) = split(pod) else { return Vec::new() };
    let offset = (number + SUFFIXES - base(uid)) % SUFFIXES;
    let sum = offset * inverse(FACTOR) % SUFFIXES;
    match mode {
        CompletionMode::Indexed => {
            let index = head.strip_suffix('-').and_then(|head| head.rsplit('-').next());
            let Some(index) = index.and_then(|index| index.parse::<Index>().ok()) else {
                return Vec::new();
            };
            if head != name_prefix(job, mode, index) {
                return Vec::new();
            }
            let difference = (sum + SUFFIXES - u64::from(index) % SUFFIXES) % SUFFIXES;
            let attempt = difference * inverse(STRIDE) % SUFFIXES;
            u32::try_from(attempt).map(|attempt| vec![(index, attempt)]).unwrap_or_default()
        }
        CompletionMode::NonIndexed => {
            if head != name_prefix(job, mode, 0) {
                return Vec::new();
            }
            (0..WRAPS)
                .map(|wrap| sum + wrap * SUFFIXES)
                .filter_map(|sum| {
                    let index = Index::try_from(sum % STRIDE).ok()?;
                    let attempt = u32::try_from(sum / STRIDE).ok()?;
                    (attempt > 0).then_some((index, attempt))
                })
                .collect()
        }
    }
}

/// The generated part of a name. Different for each attempt of an index.
pub fn name_suffix(uid: &str, index: Index, attempt: u32) -> String {
    let sum = (u64::from(index) + STRIDE * u64::from(attempt)) % SUFFIXES;
    let mut number = (base(uid) + sum * FACTOR) % SUFFIXES;
    let mut suffix = [b'b'; SUFFIX];
    for place in suffix.iter_mut().rev() {
        // The remainder is below 27, the length of the alphabet.
        *place = ALPHABET[(number % 27) as usize];
        number /= 27;
    }
    suffix.iter().map(|byte| char::from(*byte)).collect()
}

/// What all Pods of an index have in common at the beginning of their names.
pub fn name_prefix(job: &str, mode: CompletionMode, index: Index) -> String {
    let tail = match mode {
        CompletionMode::Indexed => format!("-{index}-"),
        CompletionMode::NonIndexed => "-".to_owned(),
    };
    let most = MAX_PREFIX.saturating_sub(tail.len());
    let kept: String = job.chars().take(most).collect();
    format!("{kept}{tail}")
}

/// What stands before the suffix, and the suffix as a number.
fn split(pod: &str) -> Option<(&str, u64)> {
    let at = pod.len().checked_sub(SUFFIX)?;
    let (head, suffix) = pod.split_at_checked(at)?;
    let mut number = 0;
    for byte in suffix.bytes() {
        let digit = ALPHABET.iter().position(|letter| *letter == byte)?;
        number = number * 27 + u64::try_from(digit).ok()?;
    }
    Some((head, number))
}

/// Where a Job's suffixes start: FNV-1a of its uid.
fn base(uid: &str) -> u64 {
    let hash = uid.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash ^ (hash >> 32)) % SUFFIXES
}

/// The number by which a multiplication with `factor` is undone, modulo the count of suffixes.
fn inverse(factor: u64) -> u64 {
    // By Euler: the units modulo 3^15 form a group of 2 * 3^14 elements.
    let (mut result, mut square, mut exponent) = (1, factor % SUFFIXES, SUFFIXES / 3 * 2 - 1);
    while exponent > 0 {
        if exponent % 2 == 1 {
            result = result * square % SUFFIXES;
        }
        square = square * square % SUFFIXES;
        exponent /= 2;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use CompletionMode::{Indexed, NonIndexed};
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn names_look_like_those_of_kubernetes() {
        let name = pod_name("render", "u", Indexed, 12, 1);
        assert!(name.starts_with("render-12-"), "{name}");
        assert_eq!(name.len(), "render-12-".len() + 5);
        let long = "j".repeat(63);
        assert_eq!(pod_name(&long, "u", Indexed, 12, 1).len(), 63);
        assert_eq!(pod_name(&long, "u", NonIndexed, 12, 1).len(), 63);
    }

    #[test]
    fn factors_can_be_undone() {
        for factor in [FACTOR, STRIDE] {
            assert_eq!(factor * inverse(factor) % SUFFIXES, 1);
        }
    }

    #[test]
    fn no_two_pods_of_a_nonindexed_job_share_a_name() {
        let mut seen = HashSet::new();
        for attempt in 1..=3 {
            for index in 0..100_000 {
                assert!(seen.insert(name_suffix("u", index, attempt)), "{index}.{attempt}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_name_leads_back_to_its_attempt(
            uid in "[a-z0-9-]{1,36}",
            job in "[a-z]([a-z0-9-]{0,60}[a-z0-9])?",
            index in 0..100_000_u32,
            attempt in 1..2_000_u32,
        ) {
            let name = pod_name(&job, &uid, Indexed, index, attempt);
            prop_assert_eq!(parse_pod_name(&job, &uid, Indexed, &name), vec![(index, attempt)]);
            let name = pod_name(&job, &uid, NonIndexed, index, attempt);
            let found = parse_pod_name(&job, &uid, NonIndexed, &name);
            prop_assert!(found.contains(&(index, attempt)));
        }

        #[test]
        fn any_text_can_be_looked_up(pod in ".*", uid in ".*") {
            parse_pod_name("a", &uid, Indexed, &pod);
            parse_pod_name("a", &uid, NonIndexed, &pod);
        }
    }
}
