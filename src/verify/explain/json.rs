//! JSON as the usual libraries write it: the same values in the same order, with other blanks and escapes. Frameworks that parse a body and
//! write it anew change it so, and a signature is of one spelling only.

use std::{
    fmt,
    io::{self, Write},
};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
    ser::{Error as _, SerializeMap as _, SerializeSeq as _},
};
use serde_json::{
    ser::{CompactFormatter, Formatter, PrettyFormatter},
    value::RawValue,
};

/// Levels of a document that are written anew; a deeper one is left alone.
const DEPTH_MAX: usize = 64;
/// Whole numbers up to here are the same in JavaScript, whose numbers are doubles.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

/// A way to write JSON.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    /// For people: how it is written, and by whom.
    pub(super) what: &'static str,
    blanks: Blanks,
    /// Whether all but printable ASCII is escaped as `\uXXXX`.
    ascii: bool,
    /// Whether `/` is escaped.
    slashes: bool,
    /// Whether numbers are written as JavaScript does, for which `1.0` is `1`.
    javascript: bool,
}

/// Where blanks and line ends stand.
#[derive(Clone, Copy, Debug)]
enum Blanks {
    None,
    /// After each comma and colon.
    Spaced,
    /// A line for each value, with this before it for each level.
    Lines(&'static str),
}

/// The ways that are tried, the likeliest first.
pub(super) const STYLES: [Style; 12] = [
    style("compact JSON (`JSON.stringify`)", Blanks::None),
    Style { javascript: true, ..style("compact JSON with JavaScript's numbers (`JSON.stringify`)", Blanks::None) },
    Style { ascii: true, ..style("JSON with a blank after each comma and colon, in ASCII (Python's `json.dumps`)", Blanks::Spaced) },
    style("JSON with a blank after each comma and colon (`json.dumps` with `ensure_ascii=False`)", Blanks::Spaced),
    style("JSON indented by two blanks (`JSON.stringify(value, null, 2)`)", Blanks::Lines("  ")),
    Style { ascii: true, ..style("compact JSON in ASCII (`json.dumps` with `separators=(',', ':')`)", Blanks::None) },
    Style { ascii: true, slashes: true, ..style("compact JSON with `\\/` for each slash (PHP's `json_encode`)", Blanks::None) },
    Style { ascii: true, ..style("JSON indented by two blanks, in ASCII (`json.dumps` with `indent=2`)", Blanks::Lines("  ")) },
    style("JSON indented by four blanks", Blanks::Lines("    ")),
    Style { ascii: true, ..style("JSON indented by four blanks, in ASCII (`json.dumps` with `indent=4`)", Blanks::Lines("    ")) },
    style("JSON indented by tabs", Blanks::Lines("\t")),
    Style { slashes: true, ..style("compact JSON with `\\/` for each slash and no other escapes", Blanks::None) },
];

const fn style(what: &'static str, blanks: Blanks) -> Style {
    Style { what, blanks, ascii: false, slashes: false, javascript: false }
}

/// The document in this style; `None` when the body is no JSON, or nested too deeply.
pub(super) fn spelled(body: &[u8], style: &Style) -> Option<Vec<u8>> {
    let raw: &RawValue = serde_json::from_slice(body).ok()?;
    let mut text = Vec::with_capacity(body.len());
    let value = Spelled { raw, depth: 0, javascript: style.javascript };
    let done = match style.blanks {
        Blanks::Lines(indent) => written(&value, &mut text, style, PrettyFormatter::with_indent(indent.as_bytes())),
        Blanks::None | Blanks::Spaced => written(&value, &mut text, style, CompactFormatter),
    };
    done.ok().map(|()| text)
}

fn written(value: &Spelled<'_>, text: &mut Vec<u8>, style: &Style, usual: impl Formatter) -> serde_json::Result<()> {
    value.serialize(&mut serde_json::Serializer::with_formatter(text, Styled { style: *style, usual }))
}

/// A value that is written anew, its numbers and the order of its members as they stand.
struct Spelled<'a> {
    raw: &'a RawValue,
    depth: usize,
    javascript: bool,
}

/// Members in their order, repeated ones too.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl Serialize for Spelled<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        if self.depth > DEPTH_MAX {
            return Err(S::Error::custom("nested too deeply"));
        }
        let text = self.raw.get();
        let inner = |raw| Spelled { raw, depth: self.depth + 1, javascript: self.javascript };
        match text.as_bytes().first() {
            Some(b'{') => {
                let Members(members) = serde_json::from_str(text).map_err(S::Error::custom)?;
                let mut map = to.serialize_map(Some(members.len()))?;
                members.iter().try_for_each(|(name, raw)| map.serialize_entry(name, &inner(raw)))?;
                map.end()
            }
            Some(b'[') => {
                let elements: Vec<&RawValue> = serde_json::from_str(text).map_err(S::Error::custom)?;
                let mut list = to.serialize_seq(Some(elements.len()))?;
                elements.iter().try_for_each(|raw| list.serialize_element(&inner(raw)))?;
                list.end()
            }
            Some(b'"') => to.serialize_str(&serde_json::from_str::<String>(text).map_err(S::Error::custom)?),
            Some(b'-' | b'0'..=b'9') if self.javascript => {
                let number: f64 = serde_json::from_str(text).map_err(S::Error::custom)?;
                #[expect(clippy::cast_possible_truncation, reason = "a whole number of at most 53 bits is the same as an integer")]
                if number.fract() == 0.0 && number.abs() <= WHOLE_MAX { to.serialize_i64(number as i64) } else { to.serialize_f64(number) }
            }
            _ => self.raw.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(InOrder)
    }
}

/// The usual formatter with another kind of blanks and escapes.
struct Styled<F> {
    style: Style,
    usual: F,
}

impl<F: Formatter> Formatter for Styled<F> {
    fn begin_array<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.usual.begin_array(to)
    }

    fn end_array<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.usual.end_array(to)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        self.usual.begin_array_value(to, first)?;
        self.blank(to, !first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.usual.end_array_value(to)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.usual.begin_object(to)
    }

    fn end_object<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.usual.end_object(to)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, to: &mut W, first: bool) -> io::Result<()> {
        self.usual.begin_object_key(to, first)?;
        self.blank(to, !first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.usual.begin_object_value(to)?;
        self.blank(to, true)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, to: &mut W) -> io::Result<()> {
        self.usual.end_object_value(to)
    }

    fn write_string_fragment<W: ?Sized + Write>(&mut self, to: &mut W, fragment: &str) -> io::Result<()> {
        for character in fragment.chars() {
            match character {
                '/' if self.style.slashes => to.write_all(b"\\/")?,
                ' '..='~' => to.write_all(&[character as u8])?,
                _ if self.style.ascii => {
                    for unit in character.encode_utf16(&mut [0; 2]) {
                        write!(to, "\\u{unit:04x}")?;
                    }
                }
                _ => to.write_all(character.encode_utf8(&mut [0; 4]).as_bytes())?,
            }
        }
        Ok(())
    }
}

impl<F> Styled<F> {
    fn blank<W: ?Sized + Write>(&self, to: &mut W, wanted: bool) -> io::Result<()> {
        if wanted && matches!(self.style.blanks, Blanks::Spaced) { to.write_all(b" ") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = r#"{ "b": [1.0, 2,{}], "a" :"é/☕😀\n", "n":null,"e":[] }"#;

    #[test]
    fn each_style_is_the_librarys() {
        // 1 is what Node 20's JSON.stringify writes of these values, 2, 3 and 5 what Python 3.11's json.dumps does.
        let expected = [
            (0, r#"{"b":[1.0,2,{}],"a":"é/☕😀\n","n":null,"e":[]}"#),
            (1, r#"{"b":[1,2,{}],"a":"é/☕😀\n","n":null,"e":[]}"#),
            (2, r#"{"b": [1.0, 2, {}], "a": "\u00e9/\u2615\ud83d\ude00\n", "n": null, "e": []}"#),
            (3, r#"{"b": [1.0, 2, {}], "a": "é/☕😀\n", "n": null, "e": []}"#),
            (4, "{\n  \"b\": [\n    1.0,\n    2,\n    {}\n  ],\n  \"a\": \"é/☕😀\\n\",\n  \"n\": null,\n  \"e\": []\n}"),
            (5, r#"{"b":[1.0,2,{}],"a":"\u00e9/\u2615\ud83d\ude00\n","n":null,"e":[]}"#),
            (6, r#"{"b":[1.0,2,{}],"a":"\u00e9\/\u2615\ud83d\ude00\n","n":null,"e":[]}"#),
            (11, r#"{"b":[1.0,2,{}],"a":"é\/☕😀\n","n":null,"e":[]}"#),
        ];
        for (index, text) in expected {
            let found = spelled(BODY.as_bytes(), &STYLES[index]).map(|bytes| String::from_utf8(bytes).expect("text"));
            assert_eq!(found.as_deref(), Some(text), "{}", STYLES[index].what);
        }
    }

    #[test]
    fn what_is_no_json_or_too_deep_is_left_alone() {
        for bad in ["", "a=b", "{", "[1] 2"] {
            assert_eq!(spelled(bad.as_bytes(), &STYLES[0]), None, "{bad}");
        }
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(spelled(nested(DEPTH_MAX + 1).as_bytes(), &STYLES[0]).is_some());
        assert!(spelled(nested(DEPTH_MAX + 2).as_bytes(), &STYLES[0]).is_none());
        assert!(spelled(nested(100_000).as_bytes(), &STYLES[0]).is_none());
    }
}
