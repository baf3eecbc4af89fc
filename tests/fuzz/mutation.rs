//! Mutations of seeds: bytes flipped, cut, doubled, joined with other seeds, and words in them that parsers look for. One seed of chance
//! gives the same ones each time.

use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

/// Changes one input gets at most.
const CHANGES_MAX: usize = 4;
/// Bytes of a part that is cut, doubled or joined.
const PART_BYTES_MAX: usize = 64;
/// What the parsers look for.
const WORDS: [&[u8]; 48] = [
    b"{",
    b"}",
    b"{{",
    b"}}",
    b"[[",
    b"]]",
    b"|",
    b"?",
    b"*",
    b"~0",
    b"~1",
    b"/*",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b": ",
    b",",
    b";",
    b"=",
    b"&",
    b"%",
    b"%00",
    b"+",
    b"\"",
    b"\\",
    b"\\ud800",
    b"\\u0000",
    b"\0",
    b"\xff",
    b"\xc3\xa9",
    b"\xe2\x80\xa8",
    b"--",
    b"- ",
    b"  ",
    b"#",
    b"&a ",
    b"*a",
    b"!!str ",
    b"${C}",
    b"${",
    b"${file:secret}",
    b"0",
    b"-1",
    b"1e999",
    b"18446744073709551616",
    b"null",
    b"Content-Length: 0\r\n",
    b"Transfer-Encoding: chunked\r\n",
];

/// Makes inputs out of seeds.
pub(crate) struct Mutator<'a> {
    seeds: &'a [Vec<u8>],
    dice: SmallRng,
}

impl<'a> Mutator<'a> {
    /// Begins anew: the same seeds give the same inputs.
    pub(crate) fn new(seeds: &'a [Vec<u8>]) -> Self {
        Self { seeds, dice: SmallRng::seed_from_u64(1) }
    }

    /// A seed with one to four changes.
    pub(crate) fn mutated(&mut self) -> Vec<u8> {
        let mut input = self.seed().to_vec();
        for _ in 0..self.dice.random_range(1..=CHANGES_MAX) {
            self.change(&mut input);
        }
        input
    }

    /// A seed in which one part stands so often that the whole is about `bytes` long.
    pub(crate) fn long(&mut self, bytes: usize) -> Vec<u8> {
        let seed = self.seed().to_vec();
        let (from, to) = self.part(seed.len());
        let part = if from == to { b"a" } else { &seed[from..to] };
        let times = bytes.saturating_sub(seed.len()) / part.len();
        [&seed[..to], &part.repeat(times), &seed[to..]].concat()
    }

    fn seed(&mut self) -> &'a [u8] {
        &self.seeds[self.dice.random_range(0..self.seeds.len())]
    }

    /// Where a part of a text of so many bytes begins and ends.
    fn part(&mut self, bytes: usize) -> (usize, usize) {
        let from = self.dice.random_range(0..=bytes);
        (from, (from + self.dice.random_range(0..=PART_BYTES_MAX)).min(bytes))
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let (from, to) = self.part(input.len());
        match self.dice.random_range(0..7) {
            0 if from < input.len() => input[from] ^= 1 << self.dice.random_range(0..8),
            1 if from < input.len() => input[from] = self.dice.random(),
            2 => drop(input.drain(from..to)),
            3 => {
                let part = input[from..to].to_vec();
                let at = self.dice.random_range(0..=input.len());
                input.splice(at..at, part);
            }
            4 => {
                let other = self.seed();
                let (from, to) = self.part(other.len());
                let at = self.dice.random_range(0..=input.len());
                input.splice(at..at, other[from..to].iter().copied());
            }
            5 => input.truncate(from),
            _ => {
                let word = WORDS[self.dice.random_range(0..WORDS.len())];
                input.splice(from..from, word.iter().copied());
            }
        }
    }
}
