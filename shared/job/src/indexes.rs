//! A set of completion indexes.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Index;

/// A set of indexes as a bitmap: one bit an index, up to the highest one that was inserted.
///
/// Its bytes are those of a Redis bitmap (`SETBIT key index 1`): index 0 is the most significant bit
/// of byte 0.
#[derive(Clone, Debug, Default)]
pub struct IndexSet {
    /// Index `i` is bit `63 - i % 64` of word `i / 64`, so that big-endian bytes are Redis' own.
    words: Vec<u64>,
    len: u32,
}

impl IndexSet {
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a Redis bitmap.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let words: Vec<u64> = bytes
            .chunks(8)
            .map(|chunk| {
                let mut word = [0; 8];
                word[..chunk.len()].copy_from_slice(chunk);
                u64::from_be_bytes(word)
            })
            .collect();
        let len = words.iter().map(|word| word.count_ones()).sum();
        Self { words, len }
    }

    /// The same as a Redis bitmap, without zero bytes at its end.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.words.iter().flat_map(|word| word.to_be_bytes()).collect();
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        bytes.truncate(used);
        bytes
    }

    /// Adds an index; `false` if it was there before.
    pub fn insert(&mut self, index: Index) -> bool {
        let (word, mask) = place(index);
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let new = self.words[word] & mask == 0;
        self.words[word] |= mask;
        self.len += u32::from(new);
        new
    }

    pub fn contains(&self, index: Index) -> bool {
        let (word, mask) = place(index);
        self.words.get(word).is_some_and(|bits| bits & mask != 0)
    }

    /// How many indexes are in the set; counted as they are inserted.
    pub fn len(&self) -> u32 {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many indexes of the set are lower than `end`.
    pub fn count_below(&self, end: Index) -> u32 {
        let (word, _) = place(end);
        let whole = self.words.iter().take(word).map(|bits| bits.count_ones()).sum::<u32>();
        let kept =
            self.words.get(word).map_or(0, |bits| (bits & !(u64::MAX >> (end % 64))).count_ones());
        whole + kept
    }

    /// How many indexes are in both sets.
    pub fn count_common(&self, other: &Self) -> u32 {
        self.words.iter().zip(&other.words).map(|(a, b)| (a & b).count_ones()).sum()
    }

    /// Takes out all indexes from `end` on; whether there were any.
    pub fn truncate(&mut self, end: Index) -> bool {
        let (word, _) = place(end);
        let before = self.len;
        self.len = self.count_below(end);
        self.words.truncate(word + 1);
        if let Some(bits) = self.words.get_mut(word) {
            *bits &= !(u64::MAX >> (end % 64));
        }
        self.len != before
    }

    /// The indexes, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = Index> + '_ {
        self.words.iter().enumerate().flat_map(|(number, word)| {
            let mut rest = *word;
            std::iter::from_fn(move || {
                let bit = rest.leading_zeros();
                if bit == 64 {
                    return None;
                }
                rest &= !(1 << (63 - bit));
                Some(number as Index * 64 + bit)
            })
        })
    }
}

/// Sets are equal when they hold the same indexes, whatever room their bitmaps take.
impl PartialEq for IndexSet {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.iter().eq(other.iter())
    }
}

impl Eq for IndexSet {}

impl FromIterator<Index> for IndexSet {
    fn from_iter<T: IntoIterator<Item = Index>>(indexes: T) -> Self {
        let mut set = Self::new();
        for index in indexes {
            set.insert(index);
        }
        set
    }
}

impl Serialize for IndexSet {
    /// As a list of indexes.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for IndexSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<Index>::deserialize(deserializer)?.into_iter().collect())
    }
}

/// Kubernetes' text form, as in `status.completedIndexes`: `1,3-5,7`. Two consecutive indexes are
/// written `0,1`; three or more `0-2`.
impl fmt::Display for IndexSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut indexes = self.iter().peekable();
        let mut separator = "";
        while let Some(first) = indexes.next() {
            let mut last = first;
            while indexes.next_if_eq(&last.wrapping_add(1)).is_some() {
                last += 1;
            }
            match last - first {
                0 => write!(f, "{separator}{first}")?,
                1 => write!(f, "{separator}{first},{last}")?,
                _ => write!(f, "{separator}{first}-{last}")?,
            }
            separator = ",";
        }
        Ok(())
    }
}

fn place(index: Index) -> (usize, u64) {
    ((index / 64) as usize, 1 << (63 - index % 64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(indexes: &[Index]) -> String {
        indexes.iter().copied().collect::<IndexSet>().to_string()
    }

    #[test]
    fn text_is_that_of_kubernetes() {
        assert_eq!(text(&[]), "");
        assert_eq!(text(&[0]), "0");
        assert_eq!(text(&[0, 1]), "0,1");
        assert_eq!(text(&[0, 1, 2]), "0-2");
        assert_eq!(text(&[1, 3, 4, 5, 7]), "1,3-5,7");
        assert_eq!(text(&[63, 64, 65, 127, 128]), "63-65,127,128");
    }

    #[test]
    fn bytes_are_those_of_a_redis_bitmap() {
        let set: IndexSet = [0, 9, 23].into_iter().collect();
        assert_eq!(set.to_bytes(), [0b1000_0000, 0b0100_0000, 0b0000_0001]);
        assert_eq!(IndexSet::from_bytes(&[0b1000_0000, 0b0100_0000, 1, 0, 0]), set);
        assert!(IndexSet::from_bytes(&[]).is_empty());
    }

    #[test]
    fn a_repeat_is_counted_once() {
        let mut set = IndexSet::new();
        assert!(set.insert(70));
        assert!(!set.insert(70));
        assert_eq!(set.len(), 1);
        assert!(set.contains(70) && !set.contains(71) && !set.contains(100_000));
    }

    proptest! {
        #[test]
        fn agrees_with_a_sorted_set(indexes in prop::collection::btree_set(0u32..400, 0..200), end in 0u32..450) {
            let set: IndexSet = indexes.iter().copied().collect();
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), indexes.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(set.len() as usize, indexes.len());
            prop_assert_eq!(set.count_below(end) as usize, indexes.range(..end).count());
            prop_assert_eq!(&IndexSet::from_bytes(&set.to_bytes()), &set);

            let mut cut = set.clone();
            prop_assert_eq!(cut.truncate(end), indexes.range(end..).next().is_some());
            prop_assert_eq!(&cut, &indexes.range(..end).copied().collect::<IndexSet>());
            prop_assert_eq!(set.count_common(&cut), cut.len());
            prop_assert_eq!(cut.count_common(&set), cut.len());
        }
    }
}
