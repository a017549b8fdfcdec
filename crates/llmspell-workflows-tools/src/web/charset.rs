use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

/// The number of bytes at the start of a page that the HTML standard searches for a character set declaration.
const DECLARATION_BYTES_MAX: usize = 1024;

/// Decodes `body` as browsers do: by its byte order mark, else by the `charset` of `content_type`, else as UTF-8 if
/// that is valid, else as Windows-1252. Malformed bytes become U+FFFD.
pub(super) fn decode(body: &[u8], content_type: &str) -> String {
    let encoding = declared(content_type).unwrap_or_else(|| guess(body));
    encoding.decode(body).0.into_owned()
}

/// Decodes `body` like [`decode`], but also considers a character set declaration in the page itself.
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
            (&b"caf\xc3\xa9"[..], "", "café"),
            (b"caf\xe9", "", "café"),
            (b"caf\xe9", "text/html; charset=ISO-8859-1", "café"),
            (b"caf\xe9", "text/html; Charset=\"latin1\"; x=y", "café"),
            (b"\x83\x65", "text/plain; charset=shift_jis", "テ"),
            (b"\xef\xbb\xbfx", "text/plain; charset=latin1", "x"),
            (b"\xff\xfea\x00", "", "a"),
            (b"a\xff", "text/plain; charset=utf-8", "a\u{fffd}"),
            (b"caf\xe9", "text/plain; charset=no-such", "café"),
        ] {
            assert_eq!(decode(body, content_type), expected, "{content_type}");
        }
    }

    #[test]
    fn character_set_declared_in_a_page_is_used_to_decode_it() {
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
