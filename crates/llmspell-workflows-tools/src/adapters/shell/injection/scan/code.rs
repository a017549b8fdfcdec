//! The unquoted parts of a script: words, operators, comments, and the text of here-documents.

use super::{Code, Document, Frame, Place, Scanner, Token, UNKNOWN};

impl Scanner<'_> {
    /// Handles a character outside quotes.
    pub(super) fn code(&mut self, c: char) {
        let Some(Frame::Code(code)) = self.frames.last_mut() else { return };
        match c {
            '\'' => self.quoted(Frame::Single),
            '"' => self.quoted(Frame::Double),
            '`' => self.quoted(Frame::Backtick),
            '$' => self.dollar(false),
            '\\' => match self.next_char() {
                // A backslash before the end of a line joins the lines.
                Some('\n') | None => {}
                Some(c) => self.write(c),
            },
            '#' if code.word.is_none() => self.enter(Frame::Comment),
            ' ' | '\t' => self.end_word(),
            '\n' => self.end_line(),
            // Some shells read `&>` as a redirection.
            '&' if self.peek() == Some('>') => self.end_word(),
            ';' | '&' | '|' => self.end_command(),
            '(' => self.open(),
            ')' => self.close(),
            '<' | '>' => self.redirect(c),
            c => self.write(c),
        }
    }

    /// Begins a quoted part of a word, which may be empty.
    fn quoted(&mut self, frame: Frame) {
        if let Some(Frame::Code(code)) = self.frames.last_mut() {
            let word = code.word.get_or_insert_default();
            if matches!(frame, Frame::Backtick) {
                word.push(UNKNOWN);
            }
        }
        self.enter(frame);
    }

    fn end_word(&mut self) {
        let Some(Frame::Code(code)) = self.frames.last_mut() else { return };
        let is_nested = code.level > 0;
        // The patterns of `case` contain parentheses that would seem to end the substitution.
        if code.end_word().is_some_and(|word| is_nested && word == "case") {
            self.unclear = true;
        }
    }

    fn end_command(&mut self) {
        self.end_word();
        if let Some(Frame::Code(code)) = self.frames.last_mut() {
            code.words.clear();
            code.is_target = false;
        }
    }

    fn open(&mut self) {
        let is_first = matches!(self.frames.last(), Some(Frame::Code(code)) if code.word.is_none());
        self.end_command();
        if is_first && self.take("(") {
            return self.enter(Frame::Arithmetic { depth: 2 });
        }
        if let Some(Frame::Code(code)) = self.frames.last_mut() {
            code.parentheses += 1;
        }
    }

    fn close(&mut self) {
        self.end_command();
        let Some(Frame::Code(code)) = self.frames.last_mut() else { return };
        if code.parentheses > 0 {
            code.parentheses -= 1;
        } else if code.level > 0 {
            // Shells disagree about a here-document whose substitution ends before its text begins.
            self.unclear |= !code.documents.is_empty();
            self.leave();
        }
    }

    fn redirect(&mut self, sign: char) {
        if let Some(Frame::Code(code)) = self.frames.last_mut() {
            // A descriptor number, as in `2>`, is not a word.
            if code.word.as_ref().is_some_and(|word| word.chars().all(|c| c.is_ascii_digit())) {
                code.word = None;
            }
        }
        self.end_word();
        if sign == '<' && self.take("<") {
            if self.take("<") {
                return self.target();
            }
            let strips_tabs = self.take("-");
            return self.document(strips_tabs);
        }
        // `>&`, `>|`, `<>`, `>>`: the next character is part of the operator.
        if self.peek().is_some_and(|c| matches!(c, '&' | '|' | '>')) {
            self.at += 1;
        }
        self.target();
    }

    /// Begins the target of a redirection; `<(` and `>(` begin commands instead.
    fn target(&mut self) {
        if let Some(Frame::Code(code)) = self.frames.last_mut() {
            code.is_target = self.tokens.get(self.at) != Some(&Token::Char('('));
        }
    }

    /// Reads the delimiter of a here-document.
    fn document(&mut self, strips_tabs: bool) {
        while self.take(" ") || self.take("\t") {}
        let (mut delimiter, mut is_literal, mut quote) = (String::new(), false, None);
        while let Some(token) = self.tokens.get(self.at).copied() {
            let Token::Char(c) = token else {
                self.at += 1;
                self.places.push(if self.unclear { Place::Unclear } else { Place::Delimiter });
                self.unclear = true;
                return;
            };
            match (quote, c) {
                (None, '\'' | '"') => (quote, is_literal) = (Some(c), true),
                (Some(open), c) if c == open => quote = None,
                (None, '\\') => is_literal = true,
                (None, ' ' | '\t' | '\n' | ';' | '&' | '|' | '(' | ')' | '<' | '>') => break,
                // It is unclear how a shell compares such a delimiter with the lines of the text.
                (_, '$' | '`' | '\\' | '\n') => self.unclear = true,
                (_, c) => delimiter.push(c),
            }
            self.at += 1;
        }
        if let Some(Frame::Code(code)) = self.frames.last_mut() {
            code.documents.push(Document { delimiter, is_literal, strips_tabs });
        }
    }

    fn end_line(&mut self) {
        self.end_command();
        let Some((Frame::Code(code), outer)) = self.frames.split_last_mut() else { return };
        let documents = std::mem::take(&mut code.documents);
        let is_pending = |frame: &Frame| matches!(frame, Frame::Code(Code { documents, .. }) if !documents.is_empty());
        // Shells disagree about where the text of an outer here-document begins.
        self.unclear |= outer.iter().any(is_pending);
        for document in documents {
            self.text_of(&document);
        }
    }

    /// Skips the text of a here-document.
    fn text_of(&mut self, document: &Document) {
        let Document { delimiter, is_literal, strips_tabs } = document;
        while self.at < self.tokens.len() {
            let mut line = String::new();
            while let Some(token) = self.next() {
                match token {
                    Token::Char('\n') => break,
                    Token::Char(c) => line.push(c),
                    Token::Hole(_) => {
                        let place = Place::HereDocument { literal: *is_literal };
                        self.places.push(if self.unclear { Place::Unclear } else { place });
                        line.push(UNKNOWN);
                    }
                }
            }
            // A backslash at the end of a line joins lines, which may hide the delimiter.
            self.unclear |= !is_literal && line.ends_with('\\');
            let shown = if *strips_tabs { line.trim_start_matches('\t') } else { &line };
            if shown == delimiter {
                return;
            }
        }
    }
}
