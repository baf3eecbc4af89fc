//! Tables for people: columns as wide as what is in them, cut to the width of the terminal where there is one.

use std::io::{self, IsTerminal as _};

/// Characters between two columns.
const GAP: usize = 2;
/// A column is not cut to fewer characters than this.
const WIDTH_MIN: usize = 8;

/// A table that is filled row by row.
#[derive(Debug)]
pub(super) struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(head: &[&'static str]) -> Self {
        Self { head: head.to_vec(), rows: Vec::new() }
    }

    /// Adds a row. What a terminal would obey is written out.
    pub(super) fn row(&mut self, cells: &[&str]) {
        self.rows.push(cells.iter().map(|cell| cell.escape_debug().to_string().replace("\\'", "'").replace("\\\"", "\"")).collect());
    }

    /// Writes it to standard output.
    pub(super) fn print(&self) {
        for line in self.lines(terminal_width()) {
            super::say(format_args!("{line}"));
        }
    }

    /// Its lines, none of them wider than this.
    fn lines(&self, width: Option<usize>) -> Vec<String> {
        let head: Vec<String> = self.head.iter().map(|cell| (*cell).to_owned()).collect();
        let all: Vec<&Vec<String>> = std::iter::once(&head).chain(&self.rows).collect();
        let mut widths: Vec<usize> = (0..self.head.len())
            .map(|column| all.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0))
            .collect();
        if let Some(width) = width {
            narrow(&mut widths, width);
        }
        all.iter().map(|row| line(row, &widths)).collect()
    }
}

/// Takes from the widest column until it fits, or nothing more can be taken.
fn narrow(widths: &mut [usize], width: usize) {
    let gaps = GAP * widths.len().saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > width {
        let Some(widest) = widths.iter_mut().filter(|one| **one > WIDTH_MIN).max_by_key(|one| **one) else { return };
        *widest -= 1;
    }
}

fn line(row: &[String], widths: &[usize]) -> String {
    let cells = row.iter().zip(widths).map(|(cell, width)| {
        let cut: String = match cell.chars().count() > *width {
            true => cell.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
            false => cell.clone(),
        };
        format!("{cut:<width$}")
    });
    cells.collect::<Vec<_>>().join(&" ".repeat(GAP)).trim_end().to_owned()
}

/// Columns of the terminal behind standard output; `None` when it is a file or a pipe, where nothing is cut.
fn terminal_width() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_fits_and_obeys_nobody() {
        let mut table = Table::new(&["id", "types", "n"]);
        table.row(&["evt_1", "customer.subscription.updated", "1"]);
        table.row(&["evt_2", "it's \u{1b}[2J", "22"]);
        let wide = table.lines(None);
        assert_eq!(wide[0], "id     types                          n");
        assert_eq!(wide[1], "evt_1  customer.subscription.updated  1");
        assert!(wide[2].contains("it's \\u{1b}[2J"), "{}", wide[2]);
        let narrow = table.lines(Some(24));
        assert!(narrow.iter().all(|line| line.chars().count() <= 24), "{narrow:?}");
        assert_eq!(narrow[1], "evt_1  customer.sub…  1");
    }
}
