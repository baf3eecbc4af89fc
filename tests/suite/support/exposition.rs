//! A scrape, read: the Prometheus text format, as far as the gateway writes it.

use std::collections::BTreeMap;

/// The samples of one scrape.
#[derive(Clone, Debug)]
pub struct Exposition(Vec<Sample>);

#[derive(Clone, Debug)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Exposition {
    /// Reads a scrape; a line that is none fails the test.
    pub fn parse(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self(samples.map(|line| Sample::parse(line).unwrap_or_else(|| panic!("not a sample: {line}"))).collect())
    }

    /// The sum of the samples with this name (without `hookgate_`) and at least these labels; `None` when there is no such series.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let fits = |sample: &&Sample| {
            sample.name.strip_prefix("hookgate_") == Some(name)
                && labels.iter().all(|(label, value)| sample.labels.get(*label).is_some_and(|other| other == value))
        };
        let values: Vec<f64> = self.0.iter().filter(fits).map(|sample| sample.value).collect();
        (!values.is_empty()).then(|| values.iter().sum())
    }

    /// The same, 0 without such a series.
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let sum = self.sum(name, labels).unwrap_or(0.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts of a test are small and not negative")]
        let count = sum as u64;
        count
    }

    /// Every series by name and labels, without values.
    pub fn series(&self) -> Vec<String> {
        self.0.iter().map(|sample| format!("{}{:?}", sample.name, sample.labels)).collect()
    }
}

impl Sample {
    fn parse(line: &str) -> Option<Self> {
        let (series, value) = line.rsplit_once(' ')?;
        let (name, labels) = series.split_once('{').map_or((series, ""), |(name, rest)| (name, rest.trim_end_matches('}')));
        let mut read = BTreeMap::new();
        for pair in labels.split("\",").filter(|pair| !pair.is_empty()) {
            let (label, value) = pair.split_once("=\"")?;
            read.insert(label.to_owned(), value.trim_end_matches('"').to_owned());
        }
        Some(Self { name: name.to_owned(), labels: read, value: value.parse().ok()? })
    }
}
