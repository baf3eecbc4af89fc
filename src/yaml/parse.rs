//! From text to tree: the parser's events, with a place on everything and a budget on size and depth.

use std::{collections::HashMap, sync::Arc};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use super::{At, Key, Node, Problems, Value};

/// The largest file, in bytes.
pub const FILE_BYTES_MAX: usize = 1024 * 1024;
/// How deep lists and mappings may nest.
pub const DEPTH_MAX: usize = 64;

/// Reads one document. `None` when it could not be read at all; `problems` then says why. An empty file is an empty mapping.
pub fn parse(file: &Arc<str>, text: &str, problems: &mut Problems) -> Option<Node> {
    let start = At { file: Arc::clone(file), line: 1, column: 1 };
    if text.len() > FILE_BYTES_MAX {
        problems.error(&start, format!("the file has {} bytes, and {FILE_BYTES_MAX} is the most", text.len()));
        return None;
    }
    parse_own(file, text, problems)
}

/// The same for text that we wrote ourselves, which is as large as it is.
pub fn parse_own(file: &Arc<str>, text: &str, problems: &mut Problems) -> Option<Node> {
    let start = At { file: Arc::clone(file), line: 1, column: 1 };
    let mut tree = Tree { file, open: Vec::new(), root: None, documents: 0 };
    for step in Parser::new_from_str(text) {
        match step {
            Ok((event, span)) => {
                if !tree.event(event, span, problems) {
                    return None;
                }
            }
            Err(error) => {
                problems.error(&tree.at_error(&error), format!("this is not YAML: {}", error.info()));
                return None;
            }
        }
    }
    Some(tree.root.unwrap_or(Node::new(start, Value::Nothing)))
}

/// The tree so far: finished root, and the collections that are still open.
struct Tree<'a> {
    file: &'a Arc<str>,
    open: Vec<Open>,
    root: Option<Node>,
    documents: usize,
}

/// A collection that has begun and not ended.
enum Open {
    List(At, Vec<Node>),
    Map(At, Vec<(Key, Node)>, Option<Key>, Written),
}

/// Where each key of a mapping was first written, by line and column: a lookup, so that a mapping of a hundred thousand keys is read in no
/// time.
type Written = HashMap<String, (usize, usize)>;

impl Tree<'_> {
    /// Takes one event; `false` ends the reading (the reason is noted).
    fn event(&mut self, event: Event<'_>, span: Span, problems: &mut Problems) -> bool {
        let at = self.at(span);
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    problems.error(&at, "a second document begins here, and only one is read");
                }
                self.documents == 1
            }
            Event::Scalar(text, style, anchor, tag) => {
                Self::refuse_extras(anchor, tag.is_some(), &at, problems);
                let quoted = style != ScalarStyle::Plain;
                let key_wanted = matches!(self.open.last(), Some(Open::Map(_, _, None, _)));
                let value = match &*text {
                    "" if !quoted && !key_wanted => Value::Nothing,
                    "~" | "null" if !quoted && !key_wanted => Value::Null,
                    _ => Value::Scalar { text: text.into_owned(), quoted },
                };
                self.place(Node::new(at, value), problems)
            }
            Event::SequenceStart(anchor, tag) => {
                Self::refuse_extras(anchor, tag.is_some(), &at, problems);
                self.begin(Open::List(at, Vec::new()), problems)
            }
            Event::MappingStart(anchor, tag) => {
                Self::refuse_extras(anchor, tag.is_some(), &at, problems);
                self.begin(Open::Map(at, Vec::new(), None, Written::new()), problems)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(Open::List(at, items)) => self.place(Node::new(at, Value::List(items)), problems),
                Some(Open::Map(at, entries, ..)) => self.place(Node::new(at, Value::Map(entries)), problems),
                None => false,
            },
            Event::Alias(_) => {
                problems.error(&at, "aliases (`*name`) are not taken: write the value out");
                self.place(Node::new(at, Value::Nothing), problems)
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => true,
        }
    }

    fn begin(&mut self, open: Open, problems: &mut Problems) -> bool {
        let (Open::List(at, _) | Open::Map(at, ..)) = &open;
        if self.open.len() == DEPTH_MAX {
            problems.error(at, format!("nested deeper than {DEPTH_MAX}"));
            return false;
        }
        self.open.push(open);
        true
    }

    /// Puts a finished node where it belongs: into the open collection, as its next key, or as the root.
    fn place(&mut self, node: Node, problems: &mut Problems) -> bool {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List(_, items)) => items.push(node),
            Some(Open::Map(_, entries, key, written)) => match key.take() {
                // Of a key that is written twice the first stands.
                Some(key) if written.get(&key.text) == Some(&(key.at.line, key.at.column)) => entries.push((key, node)),
                Some(_) => {}
                None => match node.value {
                    Value::Scalar { text, .. } => {
                        if let Some((first, _)) = written.get(&text) {
                            problems.error(&node.at, format!("`{}` is written twice, first at line {first}", text.escape_debug()));
                        } else {
                            written.insert(text.clone(), (node.at.line, node.at.column));
                        }
                        *key = Some(Key { at: node.at, text });
                    }
                    Value::Nothing | Value::Null | Value::List(_) | Value::Map(_) => {
                        problems.error(&node.at, "a key is a plain word");
                        return false;
                    }
                },
            },
        }
        true
    }

    fn refuse_extras(anchor: usize, tagged: bool, at: &At, problems: &mut Problems) {
        if anchor != 0 {
            problems.error(at, "anchors (`&name`) are not taken: write the value out");
        }
        if tagged {
            problems.error(at, "tags (`!name`) are not taken");
        }
    }

    fn at(&self, span: Span) -> At {
        At { file: Arc::clone(self.file), line: span.start.line(), column: span.start.col() + 1 }
    }

    fn at_error(&self, error: &ScanError) -> At {
        At { file: Arc::clone(self.file), line: error.marker().line(), column: error.marker().col() + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<Node>, Vec<String>) {
        let mut problems = Problems::new();
        let node = parse(&Arc::from("t.yaml"), text, &mut problems);
        (node, problems.into_sorted().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn scalars_keep_their_spelling_and_everything_has_a_place() {
        let (node, problems) = read("a: 0123\nb:\n  - 1e5\n  - \"true\"\n");
        assert_eq!(problems, Vec::<String>::new());
        let node = node.expect("read");
        let a = node.get("a").expect("a");
        assert_eq!((a.at.line, a.at.column), (1, 4));
        assert_eq!(a.value, Value::Scalar { text: "0123".into(), quoted: false });
        let Value::List(items) = &node.get("b").expect("b").value else { panic!("a list") };
        assert_eq!(items[0].value, Value::Scalar { text: "1e5".into(), quoted: false });
        assert_eq!((items[1].at.line, items[1].at.column), (4, 5));
    }

    #[test]
    fn null_is_told_from_nothing() {
        let (node, problems) = read("a: null\nb: ~\nc:\nd: \"\"\ne: \"null\"\nf: [~, null]\n");
        assert_eq!(problems, Vec::<String>::new());
        let node = node.expect("read");
        let value = |key: &str| &node.get(key).expect("there").value;
        let text = |text: &str| Value::Scalar { text: text.into(), quoted: true };
        assert_eq!((value("a"), value("b"), value("c")), (&Value::Null, &Value::Null, &Value::Nothing));
        assert_eq!((value("d"), value("e")), (&text(""), &text("null")));
        assert!(matches!(value("f"), Value::List(items) if items.iter().all(|item| item.value == Value::Null)));
        assert_eq!(read("# nothing\n").0.expect("read").value, Value::Nothing);
    }

    #[test]
    fn what_people_get_wrong_is_named_with_its_place() {
        let cases = [
            ("a: 1\na: 2\n", "t.yaml:2:1: `a` is written twice, first at line 1"),
            ("a: &x 1\n", "t.yaml:1:4: anchors (`&name`) are not taken: write the value out"),
            ("a: &x 1\nb: *x\n", "t.yaml:2:4: aliases (`*name`) are not taken: write the value out"),
            ("a: 1\n---\nb: 1\n", "t.yaml:2:1: a second document begins here, and only one is read"),
        ];
        for (text, expected) in cases {
            assert!(read(text).1.contains(&expected.to_owned()), "{text:?} gave {:?}", read(text).1);
        }
    }

    #[test]
    fn of_a_key_that_is_written_twice_the_first_stands() {
        for text in ["a: 1\nb: 3\na: 2\n", "{a: 1, a: 2, b: 3, a: [4]}"] {
            let (node, problems) = read(text);
            let Some(Value::Map(entries)) = node.map(|node| node.value) else { panic!("{text}: {problems:?}") };
            let kept: Vec<_> = entries.iter().map(|(key, node)| (&*key.text, node.value.clone())).collect();
            let plain = |text: &str| Value::Scalar { text: text.into(), quoted: false };
            assert_eq!(kept, [("a", plain("1")), ("b", plain("3"))], "{text}");
        }
    }

    #[test]
    fn size_and_depth_are_bounded() {
        assert!(read(&"[".repeat(DEPTH_MAX + 1)).1[0].contains("nested deeper"));
        assert!(read(&"x".repeat(FILE_BYTES_MAX + 1)).1[0].contains("bytes"));
        assert!(read("a: [1, 2").1[0].contains("not YAML"));
    }
}
