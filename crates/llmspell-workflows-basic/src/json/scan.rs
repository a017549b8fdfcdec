//! Finds the location of a rejected number.

use super::{Floats, JsonError, TooLarge, is_exact, is_integer, is_short, parse_number, shown};

/// Finds the first number that must be rejected in a valid JSON text.
pub(super) struct Scan<'t> {
    text: &'t [u8],
    floats: Floats,
    at: usize,
    /// The arrays and objects around the current position.
    around: Vec<Around<'t>>,
}

enum Around<'t> {
    /// The index of the current element.
    Array(usize),
    /// The name of the current field as written, with its quotes; `None` before the first name.
    Object(Option<&'t [u8]>),
}

impl<'t> Scan<'t> {
    pub(super) fn new(text: &'t [u8], floats: Floats) -> Self {
        Self { text, floats, at: 0, around: Vec::new() }
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
                        let (number, pointer, (line, column)) = (shown(&number), self.pointer(), self.place(start));
                        return Some(JsonError::TooLarge { number, pointer, line, column });
                    }
                    if self.floats == Floats::Exact && is_rounded(&number) {
                        let (number, pointer, (line, column)) = (shown(&number), self.pointer(), self.place(start));
                        return Some(JsonError::Rounded { number, pointer, line, column });
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

    /// Returns the line and the column of a byte, counted from 1.
    fn place(&self, start: usize) -> (usize, usize) {
        let before = &self.text[..start];
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        (before.iter().filter(|byte| **byte == b'\n').count() + 1, start - line_start + 1)
    }

    /// Returns the JSON pointer to the position; `None` at the top level.
    fn pointer(&self) -> Option<String> {
        let pointer = self.around.iter().map(|around| format!("/{}", around.reference())).collect();
        (!self.around.is_empty()).then_some(pointer)
    }
}

/// Returns whether conversion to a float would change the number.
fn is_rounded(number: &str) -> bool {
    !is_integer(number.as_bytes()) && !is_short(number) && !number.parse().is_ok_and(|float| is_exact(number, float))
}

impl Around<'_> {
    /// Returns the JSON pointer token of the element or field.
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
