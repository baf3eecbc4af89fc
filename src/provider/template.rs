//! Templates: text with atoms in braces, bytes in and bytes out.
//!
//! `{{` and `}}` are literal braces; `{a|f|g}` pipes a value through filters; `{a?}` is empty when `a` is absent; `[[...]]` is left out
//! whole when an atom in it is absent or empty. What an absent value means elsewhere is the reader's to say: in a check it refuses the
//! request, in an event rule it skips the alternative.

use super::atom::{Atom, Filter};

/// A template, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Template {
    text: Box<str>,
    parts: Vec<Part>,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Bytes as they are.
    Text(Box<[u8]>),
    /// A value of the request.
    Value(Value),
    /// `[[...]]`: left out whole when a value in it is absent or empty.
    Optional(Vec<Part>),
}

/// A value of the request and what is done to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// Where it stands.
    pub atom: Atom,
    /// What is done to it, in order.
    pub filters: Vec<Filter>,
    /// `{a?}`: absent reads as empty.
    pub optional: bool,
}

impl Value {
    /// Reads a value as it stands between braces: `atom|filter`, `atom?`.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut words = text.split('|');
        let atom = words.next().unwrap_or_default();
        let (atom, optional) = match atom.strip_suffix('?') {
            Some(atom) => (atom, true),
            None => (atom, false),
        };
        Ok(Self { atom: Atom::parse(atom)?, filters: words.map(Filter::parse).collect::<Result<_, _>>()?, optional })
    }
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader { rest: text, text: Vec::new(), outer: Vec::new(), optional: None };
        while reader.step()? {}
        reader.end_text();
        if reader.optional.is_some() {
            return Err("`[[` is not closed by `]]`".into());
        }
        Ok(Self { text: text.into(), parts: reader.outer })
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its pieces, in order.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Every value in it, those in `[[...]]` included.
    pub fn values(&self) -> impl Iterator<Item = &Value> {
        self.parts
            .iter()
            .flat_map(|part| match part {
                Part::Text(_) => &[],
                Part::Value(_) => std::slice::from_ref(part),
                Part::Optional(inner) => inner.as_slice(),
            })
            .filter_map(|part| match part {
                Part::Value(value) => Some(value),
                Part::Text(_) | Part::Optional(_) => None,
            })
    }

    /// Its text, when there is no value in it.
    #[must_use]
    pub fn literal(&self) -> Option<String> {
        let mut bytes = Vec::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => bytes.extend_from_slice(text),
                Part::Value(_) | Part::Optional(_) => return None,
            }
        }
        String::from_utf8(bytes).ok()
    }

    /// The one atom it consists of, when it is nothing but that.
    #[must_use]
    pub fn bare(&self) -> Option<&Atom> {
        match self.parts.as_slice() {
            [Part::Value(Value { atom, filters, optional: false })] if filters.is_empty() => Some(atom),
            _ => None,
        }
    }
}

/// The reading of one template.
struct Reader<'a> {
    rest: &'a str,
    /// Literal bytes not yet made a piece.
    text: Vec<u8>,
    outer: Vec<Part>,
    /// The pieces of an open `[[`.
    optional: Option<Vec<Part>>,
}

impl Reader<'_> {
    /// Takes the next piece; `false` at the end.
    fn step(&mut self) -> Result<bool, String> {
        let Some(next) = self.rest.chars().next() else {
            return Ok(false);
        };
        if self.eat("{{") {
            self.text.push(b'{');
        } else if self.eat("}}") {
            self.text.push(b'}');
        } else if self.eat("{") {
            self.value()?;
        } else if self.eat("[[") {
            self.end_text();
            if self.optional.replace(Vec::new()).is_some() {
                return Err("`[[` does not nest".into());
            }
        } else if self.optional.is_some() && self.eat("]]") {
            self.end_text();
            let inner = self.optional.take().unwrap_or_default();
            if !inner.iter().any(|part| matches!(part, Part::Value(_))) {
                return Err("`[[...]]` has a value in it, or it would never be left out".into());
            }
            self.outer.push(Part::Optional(inner));
        } else if next == '}' {
            return Err("a `}` without its `{`; a literal one is written `}}`".into());
        } else {
            self.text.extend_from_slice(next.encode_utf8(&mut [0; 4]).as_bytes());
            self.rest = &self.rest[next.len_utf8()..];
        }
        Ok(true)
    }

    /// Takes `atom|filter...}`.
    fn value(&mut self) -> Result<(), String> {
        let Some((inside, rest)) = self.rest.split_once('}') else {
            return Err("a `{` is not closed by `}`; a literal one is written `{{`".into());
        };
        self.rest = rest;
        self.push(Part::Value(Value::parse(inside)?));
        Ok(())
    }

    fn eat(&mut self, what: &str) -> bool {
        let eaten = self.rest.strip_prefix(what);
        self.rest = eaten.unwrap_or(self.rest);
        eaten.is_some()
    }

    fn end_text(&mut self) {
        if !self.text.is_empty() {
            let text = std::mem::take(&mut self.text).into();
            self.push(Part::Text(text));
        }
    }

    fn push(&mut self, part: Part) {
        if matches!(part, Part::Value(_)) {
            self.end_text();
        }
        self.optional.as_mut().unwrap_or(&mut self.outer).push(part);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(text: &str) -> Part {
        Part::Text(text.as_bytes().into())
    }

    fn header(name: &str, optional: bool) -> Part {
        Part::Value(Value { atom: Atom::Header(name.into()), filters: vec![], optional })
    }

    #[test]
    fn every_form_of_the_grammar_reads() {
        let cases = [
            ("", vec![]),
            ("v0:{header:X-Ts}:", vec![text("v0:"), header("X-Ts", false), text(":")]),
            ("{{{header:a}}}", vec![text("{"), header("a", false), text("}")]),
            ("{header:a?}", vec![header("a", true)]),
            ("a[[.{header:b}]]c", vec![text("a"), Part::Optional(vec![text("."), header("b", false)]), text("c")]),
            ("[x]]", vec![text("[x]]")]),
            (
                "{body|sha256|hex}",
                vec![Part::Value(Value { atom: Atom::Body, filters: vec![Filter::Sha256, Filter::Hex], optional: false })],
            ),
        ];
        for (template, parts) in cases {
            assert_eq!(Template::parse(template), Ok(Template { text: template.into(), parts }), "{template}");
        }
    }

    #[test]
    fn what_is_not_in_the_grammar_is_refused_by_name() {
        let cases = [
            ("{bdoy}", "there is no atom `bdoy`; did you mean `body`?"),
            ("{body|sha265}", "there is no filter `sha265`; did you mean `sha256`?"),
            ("{form}", "the atom `form` names a place: `form:NAME`"),
            ("{header:a*}", "a family of headers is written `header:NAME-*`, not `header:a*`"),
            ("{signed-headers:a,b c}", "`b c` cannot be a header's name"),
            ("{sig:/a~}", "in `/a~`, `~` is written `~0`"),
            ("{qsh:x}", "the atom `qsh` stands alone, without `:`"),
            ("{body", "a `{` is not closed by `}`; a literal one is written `{{`"),
            ("body}", "a `}` without its `{`; a literal one is written `}}`"),
            ("[[a]]", "`[[...]]` has a value in it, or it would never be left out"),
            ("[[{body}", "`[[` is not closed by `]]`"),
            ("[[[[{body}]]", "`[[` does not nest"),
            ("{header:a b}", "`a b` cannot be a header's name"),
            ("{json:id}", "the JSON pointer `id` begins with `/`"),
            ("{json:/a~2}", "in `/a~2`, `~` is written `~0`"),
            ("{header}", "the atom `header` names a place: `header:NAME`"),
            ("{body:x}", "the atom `body` stands alone, without `:`"),
        ];
        for (template, expected) in cases {
            assert_eq!(Template::parse(template), Err(expected.to_owned()), "{template}");
        }
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in "[a-z{}\\[\\]|?:/~*é.]{0,40}") {
            let _ = Template::parse(&text);
        }

        #[test]
        fn plain_text_reads_as_itself(plain in "[a-zA-Z0-9 .:/é]{1,40}") {
            let template = Template::parse(&plain).expect("plain text");
            prop_assert_eq!(template.parts(), &[text(&plain)][..]);
        }
    }
}
