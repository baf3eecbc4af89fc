//! The one spelling of some bytes: strict decoders, so that one signature cannot come back as a second, different-looking one, and the
//! encoders that are their inverse.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};

use std::ops::RangeInclusive;

use smallvec::SmallVec;

use crate::provider::Encoding;

/// The bytes of a claimed signature, or of a token.
pub(super) type Signature = SmallVec<[u8; 72]>;

/// Reads a signature of so many bytes. Any other spelling of the same bytes is `None`: upper-case hex, blanks, missing or extra
/// padding, trailing bits that are not zero, the other base64 alphabet.
pub(super) fn decode(text: &str, encoding: Encoding, bytes: RangeInclusive<usize>) -> Option<Signature> {
    // No encoding here takes more than two characters for a byte, and four for the padding.
    if text.len() > bytes.end() * 2 + 4 {
        return None;
    }
    let mut buffer: Signature = smallvec::smallvec![0; text.len()];
    let len = match encoding {
        Encoding::Hex => {
            let room = buffer.get_mut(..text.len() / 2)?;
            let spelled = !text.bytes().any(|b| b.is_ascii_uppercase());
            (spelled && hex::decode_to_slice(text, room).is_ok()).then_some(text.len() / 2)
        }
        Encoding::Base64 => STANDARD.decode_slice(text, &mut buffer).ok(),
        Encoding::Base64Url => URL_SAFE_NO_PAD.decode_slice(text, &mut buffer).ok(),
        Encoding::Plain => {
            buffer.copy_from_slice(text.as_bytes());
            Some(text.len())
        }
    }?;
    buffer.truncate(len);
    bytes.contains(&len).then_some(buffer)
}

/// Writes a signature as [`decode`] reads it.
pub(super) fn encode(bytes: &[u8], encoding: Encoding) -> String {
    match encoding {
        Encoding::Hex => hex::encode(bytes),
        Encoding::Base64 => STANDARD.encode(bytes),
        Encoding::Base64Url => URL_SAFE_NO_PAD.encode(bytes),
        Encoding::Plain => String::from_utf8_lossy(bytes).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_other_spelling_is_refused() {
        let bytes = [0xfb; 20];
        let hex = encode(&bytes, Encoding::Hex);
        let base64 = encode(&bytes, Encoding::Base64);
        let url = encode(&bytes, Encoding::Base64Url);
        assert!(base64.ends_with("+/v7+/s=") && url.ends_with("-_v7-_s"));
        let refused = [
            (Encoding::Hex, hex.to_uppercase()),
            (Encoding::Hex, format!(" {hex}")),
            (Encoding::Hex, hex[2..].to_owned()),
            (Encoding::Hex, format!("{hex}00")),
            (Encoding::Base64, url.clone()),
            (Encoding::Base64, base64.trim_end_matches('=').to_owned()),
            (Encoding::Base64, format!("{base64}=")),
            (Encoding::Base64, format!("{base64}\n")),
            (Encoding::Base64, base64.replace("s=", "t=")),
            (Encoding::Base64Url, base64.clone()),
            (Encoding::Base64Url, format!("{url}=")),
            (Encoding::Base64Url, format!("{}t", &url[..url.len() - 1])),
            (Encoding::Base64, "A".repeat(400)),
            (Encoding::Hex, String::new()),
        ];
        for (encoding, text) in refused {
            assert!(decode(&text, encoding, 20..=20).is_none(), "{encoding:?} {text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_writes_back_as_it_was(text in "[0-9a-zA-Z+/=_-]{0,90}") {
            for encoding in [Encoding::Hex, Encoding::Base64, Encoding::Base64Url] {
                for bytes in [20, 32, 64] {
                    if let Some(tag) = decode(&text, encoding, bytes..=bytes) {
                        prop_assert_eq!(encode(&tag, encoding), text.clone());
                    }
                }
            }
        }

        #[test]
        fn what_is_written_reads_back(bytes in proptest::collection::vec(any::<u8>(), 32)) {
            for encoding in [Encoding::Hex, Encoding::Base64, Encoding::Base64Url] {
                let tag = decode(&encode(&bytes, encoding), encoding, 32..=32).expect("our own spelling");
                prop_assert_eq!(&*tag, &bytes[..]);
            }
        }
    }
}
