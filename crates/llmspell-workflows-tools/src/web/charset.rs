use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

/// The number of bytes at the start of a page that the HTML standard searches for a character set declaration.
const DECLARATION_BYTES_MAX: usize = 1024;

/// Decodes `body` as browsers do. A byte order mark determines the character set; otherwise the
/// `charset` of `content_type` does. Without either, valid UTF-8 is decoded as UTF-8, and any other
/// body as Windows-1252.
///
/// Returns `None` if a byte is malformed in the character set, or if binary data would otherwise be
/// decoded as Windows-1252.
pub(super) fn decode_exactly(body: &[u8], content_type: &str) -> Option<String> {
    match declared(content_type) {
        Some(encoding) => decode(encoding, body),
        None if is_unicode(body) => decode(UTF_8, body),
        None => (!is_binary(body)).then(|| WINDOWS_1252.decode(body).0.into_owned()),
    }
}

/// Decodes `body` like [`decode_exactly`], but never falls back to Windows-1252.
pub(super) fn decode_unicode(body: &[u8], content_type: &str) -> Option<String> {
    decode(declared(content_type).unwrap_or(UTF_8), body)
}

fn decode(encoding: &'static Encoding, body: &[u8]) -> Option<String> {
    let (text, _, is_malformed) = encoding.decode(body);
    (!is_malformed).then(|| text.into_owned())
}

/// Returns whether `body` begins with a byte order mark, or is UTF-8.
fn is_unicode(body: &[u8]) -> bool {
    Encoding::for_bom(body).is_some() || std::str::from_utf8(body).is_ok()
}

/// Returns whether `body` contains a binary data byte as defined by the MIME sniffing standard.
fn is_binary(body: &[u8]) -> bool {
    body.iter().any(|byte| matches!(byte, 0x00..=0x08 | 0x0b | 0x0e..=0x1a | 0x1c..=0x1f))
}

/// Decodes a page as browsers do, which also considers a character set declaration in the page itself. Malformed bytes
/// become U+FFFD.
pub(super) fn decode_html(body: &[u8], content_type: &str) -> String {
    let encoding = declared(content_type).or_else(|| declared_in_page(body)).unwrap_or_else(|| guess(body));
    encoding.decode(body).0.into_owned()
}

fn guess(body: &[u8]) -> &'static Encoding {
    if std::str::from_utf8(body).is_ok() { UTF_8 } else { WINDOWS_1252 }
}

/// Returns the character set that `charset=` declares in a content type or in a `meta` element.
fn declared(text: &str) -> Option<&'static Encoding> {
    let lower = text.to_ascii_lowercase();
    let (_, label) = lower.split_once("charset")?;
    let label = label.trim_start().strip_prefix('=')?.trim_start().trim_start_matches(['"', '\'']);
    let end = label.find(|c: char| matches!(c, '"' | '\'' | ';' | '>' | '/') || c.is_whitespace());
    Encoding::for_label(&label.as_bytes()[..end.unwrap_or(label.len())])
}

fn declared_in_page(body: &[u8]) -> Option<&'static Encoding> {
    let head = String::from_utf8_lossy(&body[..body.len().min(DECLARATION_BYTES_MAX)]).to_ascii_lowercase();
    let encoding = head.match_indices("<meta").find_map(|(start, _)| {
        let element = &head[start..];
        declared(&element[..element.find('>').unwrap_or(element.len())])
    })?;
    // A page whose declaration can be read byte by byte is not UTF-16, even if it declares UTF-16.
    Some(encoding.output_encoding())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_decoded_with_its_declared_character_set() {
        for (body, content_type, expected) in [
            (&b"caf\xc3\xa9"[..], "", Some("café")),
            (b"caf\xe9", "", Some("café")),
            (b"caf\xe9", "text/html; charset=ISO-8859-1", Some("café")),
            (b"caf\xe9", "text/html; Charset=\"latin1\"; x=y", Some("café")),
            (b"\x83\x65", "text/plain; charset=shift_jis", Some("テ")),
            (b"\xef\xbb\xbfx", "text/plain; charset=latin1", Some("x")),
            (b"\xff\xfea\x00", "", Some("a")),
            (b"a\xff", "text/plain; charset=utf-8", None),
            (b"\xff\xfea", "", None),
            (b"\x1f\x8b\x08\x00", "text/plain", None),
            (b"caf\xe9", "text/plain; charset=no-such", Some("café")),
        ] {
            assert_eq!(decode_exactly(body, content_type).as_deref(), expected, "{content_type}");
        }
    }

    #[test]
    fn a_page_is_decoded_with_the_character_set_it_declares() {
        for (page, expected) in [
            (&b"<meta charset=\"shift_jis\"><p>\x83\x65"[..], "テ"),
            (b"<meta http-equiv=Content-Type content='text/html; charset=windows-1251'><p>\xe4", "д"),
            (b"<meta name=x><META CHARSET=koi8-r><p>\xc4", "д"),
            (b"<meta charset=utf-16><p>\xc3\xa9", "é"),
        ] {
            let text = decode_html(page, "text/html");
            assert_eq!(text.rsplit_once("<p>").unwrap().1, expected, "{text}");
        }
    }
}
