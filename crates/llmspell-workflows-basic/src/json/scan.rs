//! Finds the place of a number that was rejected.

use super::{JsonError, TooLarge, parse_number, shown};

/// Finds the first integer outside the range in a text that is valid JSON.
pub(super) struct Scan<'t> {
    text: &'t [u8],
    at: usize,
    /// The arrays and objects around the position.
    around: Vec<Around<'t>>,
}

enum Around<'t> {
    /// The index of the current element.
    Array(usize),
    /// The name of the current field as written, with its quotes; `None` before the first name.
    Object(Option<&'t [u8]>),
}

impl<'t> Scan<'t> {
    pub(super) fn new(text: &'t [u8]) -> Self {
        Self { text, at: 0, around: Vec::new() }
    }

    pub(super) fn run(mut self) -> Option<JsonError> {
        while let Some(&byte) = self.text.get(self.at) {
            let start = self.at;
            self.at += 1;
            match byte {
                b'[' => self.around.push(Around::Array(0)),
                b'{' => self.around.push(Around::Object(None)),
                b']' | b'}' => drop(self.around.pop()),
                b',' => match self.around.last_mut() {
                    Some(Around::Array(index)) => *index += 1,
                    Some(Around::Object(name)) => *name = None,
                    None => {}
                },
                b'"' => {
                    self.skip_string();
                    if let Some(Around::Object(name @ None)) = self.around.last_mut() {
                        *name = Some(&self.text[start..self.at]);
                    }
                }
                b'-' | b'0'..=b'9' => {
                    let digits = |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
                    self.at += self.text[self.at..].iter().take_while(|byte| digits(byte)).count();
                    let number = String::from_utf8_lossy(&self.text[start..self.at]);
                    if matches!(parse_number(&number), Some(Err(TooLarge))) {
                        return Some(self.error(start, &number));
                    }
                }
                _ => {}
            }
        }
        None
    }

    fn skip_string(&mut self) {
        while let Some(byte) = self.text.get(self.at) {
            self.at += if *byte == b'\\' { 2 } else { 1 };
            if *byte == b'"' {
                return;
            }
        }
    }

    fn error(&self, start: usize, number: &str) -> JsonError {
        let before = &self.text[..start];
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let pointer: String = self.around.iter().map(|around| format!("/{}", around.reference())).collect();
        JsonError::TooLarge {
            number: shown(number),
            pointer: (!self.around.is_empty()).then_some(pointer),
            line: before.iter().filter(|byte| **byte == b'\n').count() + 1,
            column: start - line_start + 1,
        }
    }
}

impl Around<'_> {
    /// Returns the element or field as a part of a JSON pointer.
    fn reference(&self) -> String {
        match self {
            Self::Array(index) => index.to_string(),
            Self::Object(name) => {
                let name = name.and_then(|name| serde_json::from_slice::<String>(name).ok()).unwrap_or_default();
                name.replace('~', "~0").replace('/', "~1")
            }
        }
    }
}
