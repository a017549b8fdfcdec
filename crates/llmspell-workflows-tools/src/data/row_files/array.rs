use std::io::{self, BufRead};

/// The state of reading a JSON array element by element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Position {
    BeforeArray,
    BeforeFirst,
    AfterElement,
    AfterArray,
}

/// Splits the text of a JSON array into the texts of its elements, without parsing them.
pub(super) struct Elements<R> {
    source: R,
    position: Position,
    /// The line of the next byte, counted from 1.
    line: u64,
}

/// The reason why the text cannot be split.
#[derive(Debug)]
pub(super) enum ArrayError {
    /// The text is not an array. The fields are the line and a description of the problem there.
    NotAnArray(u64, &'static str),
    /// An element is longer than the limit.
    TooLong(u64),
    Io(io::Error),
}

impl<R: BufRead> Elements<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, position: Position::BeforeArray, line: 1 }
    }

    /// Puts the text of the next element into `element`, and returns the line on which it begins.
    pub(super) fn next(&mut self, element: &mut Vec<u8>, bytes_max: usize) -> Result<Option<u64>, ArrayError> {
        if self.position == Position::BeforeArray {
            match self.skip_space()? {
                Some(b'[') => self.take(),
                _ => return Err(ArrayError::NotAnArray(self.line, "expected an array of rows")),
            }
            self.position = Position::BeforeFirst;
        }
        match (self.skip_space()?, self.position) {
            (None, Position::AfterArray) => return Ok(None),
            (Some(_), Position::AfterArray) => {
                return Err(ArrayError::NotAnArray(self.line, "unexpected data after the array"));
            }
            (None, _) => return Err(ArrayError::NotAnArray(self.line, "the array is not closed")),
            (Some(b']'), _) => {
                self.take();
                self.position = Position::AfterArray;
                return self.next(element, bytes_max);
            }
            (Some(b','), Position::AfterElement) => self.take(),
            (Some(_), Position::AfterElement) => {
                return Err(ArrayError::NotAnArray(self.line, "expected `,` or `]` after a row"));
            }
            (Some(_), _) => {}
        }
        self.skip_space()?;
        let line = self.line;
        self.read_element(element, bytes_max)?;
        self.position = Position::AfterElement;
        Ok(Some(line))
    }

    /// Reads up to the comma or bracket that ends the element, without consuming it.
    fn read_element(&mut self, element: &mut Vec<u8>, bytes_max: usize) -> Result<(), ArrayError> {
        element.clear();
        let (line, mut depth, mut in_string, mut is_escaped) = (self.line, 0_usize, false, false);
        while let Some(byte) = self.peek()? {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = in_string,
                b'"' => in_string = !in_string,
                _ if in_string => {}
                b',' | b']' if depth == 0 => return Ok(()),
                b'[' | b'{' => depth += 1,
                b']' | b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            element.push(byte);
            self.take();
            if element.len() > bytes_max {
                return Err(ArrayError::TooLong(line));
            }
        }
        Err(ArrayError::NotAnArray(self.line, "the array is not closed"))
    }

    fn skip_space(&mut self) -> Result<Option<u8>, ArrayError> {
        loop {
            match self.peek()? {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.take(),
                other => return Ok(other),
            }
        }
    }

    fn peek(&mut self) -> Result<Option<u8>, ArrayError> {
        Ok(self.source.fill_buf().map_err(ArrayError::Io)?.first().copied())
    }

    /// Moves past the peeked byte.
    fn take(&mut self) {
        // The buffer still contains the byte, so this cannot fail.
        let is_line_end = self.source.fill_buf().is_ok_and(|bytes| bytes.first() == Some(&b'\n'));
        self.line += u64::from(is_line_end);
        self.source.consume(1);
    }
}
