//! Reads `retries: 2` and retry policies.

use llmspell_workflows_basic::model::{Backoff, Retry};

use super::{Fields, Reader};
use crate::{dialect::RETRY, tree::Data};

const STRATEGIES: &[(&str, Backoff)] = &[
    ("exponential", Backoff::Exponential),
    ("exponential_backoff", Backoff::Exponential),
    ("linear", Backoff::Linear),
    ("linear_backoff", Backoff::Linear),
    ("fixed", Backoff::Fixed),
    ("fixed_delay", Backoff::Fixed),
    ("immediate", Backoff::Immediate),
];

/// The fields of a policy, and their names in the model.
const WORDS: &[(&str, &str)] = &[
    ("strategy", "retry/backoff"),
    ("max_attempts", "retry/attempts_max"),
    ("max_retries", "retry/attempts_max"),
    ("initial_delay", "retry/initial_delay"),
    ("max_delay", "retry/delay_max"),
    ("multiplier", "retry/multiplier"),
    ("jitter", "retry/jitter"),
    ("retry_on", "retry/on_errors"),
    ("retry_on_status_codes", "retry/on_status_codes"),
    ("retry_on_exit_codes", "retry/on_exit_codes"),
    ("max_duration", "retry/duration_max"),
];

/// The value of `jitter: true`: ±10 %.
const JITTER: f64 = 0.1;

impl Reader<'_> {
    pub(crate) fn retry(&mut self, fields: &Fields<'_, '_>) -> Option<Retry> {
        let entry = fields.get("retries")?;
        self.mark(fields.at, "retry", entry.value.span);
        match &entry.value.data {
            Data::Number(_) => {
                let retries: u32 = self.count_of(fields.at, &entry.key, &entry.value, 0)?;
                Some(Retry::attempts(retries.saturating_add(1)))
            }
            Data::Map(_) => {
                let policy = self.fields(&entry.value, &[RETRY], &[], format!("`{}`", entry.key), fields.at)?;
                Some(self.policy(&policy))
            }
            _ => {
                self.wrong_type(fields.at, &entry.key, &entry.value, "a number of retries or a retry policy");
                None
            }
        }
    }

    fn policy(&mut self, fields: &Fields<'_, '_>) -> Retry {
        let default = Retry::default();
        let attempts: Option<u32> = self.count(fields, "max_attempts", 1);
        let retries: Option<u32> = self.count(fields, "max_retries", 0);
        if let (Some(_), Some(second)) = (fields.get("max_attempts"), fields.get("max_retries")) {
            let message = "`max_attempts` and `max_retries` are mutually exclusive";
            self.error("conflicting_fields", fields.at, second.key_span, message)
                .help("keep one: `max_attempts` counts the first attempt, `max_retries` does not");
        }
        for (name, word) in WORDS {
            if let Some(entry) = fields.get(name) {
                self.mark(fields.at, *word, entry.value.span);
            }
        }
        Retry {
            backoff: self.word(fields, "strategy", STRATEGIES).unwrap_or(default.backoff),
            attempts_max: attempts.or(retries.map(|n| n.saturating_add(1))).unwrap_or(default.attempts_max),
            initial_delay: self.duration(fields, "initial_delay").unwrap_or(default.initial_delay),
            delay_max: self.duration(fields, "max_delay").unwrap_or(default.delay_max),
            multiplier: self.number(fields, "multiplier").unwrap_or(default.multiplier),
            jitter: self.jitter(fields).unwrap_or(default.jitter),
            on_errors: self.texts(fields, "retry_on"),
            on_status_codes: self.numbers(fields, "retry_on_status_codes", 100),
            on_exit_codes: self.numbers(fields, "retry_on_exit_codes", 1),
            duration_max: self.duration(fields, "max_duration"),
        }
    }

    fn number(&mut self, fields: &Fields<'_, '_>, name: &'static str) -> Option<f64> {
        let entry = fields.get(name)?;
        let Data::Number(number) = &entry.value.data else {
            self.wrong_type(fields.at, &entry.key, &entry.value, "a number");
            return None;
        };
        let number = number.as_f64().filter(|number| *number >= 0.0);
        if number.is_none() {
            self.error("bad_value", fields.at, entry.value.span, format!("`{}` must not be negative", entry.key));
        }
        number
    }

    fn jitter(&mut self, fields: &Fields<'_, '_>) -> Option<f64> {
        let entry = fields.get("jitter")?;
        let share = match &entry.value.data {
            Data::Bool(is_on) => return Some(if *is_on { JITTER } else { 0.0 }),
            Data::Number(number) => number.as_f64().filter(|share| (0.0..=1.0).contains(share)),
            _ => None,
        };
        if share.is_none() {
            let message = "`jitter`: expected `true`, `false` or a number from 0 to 1";
            self.error("bad_value", fields.at, entry.value.span, message);
        }
        share
    }

    fn numbers<T: TryFrom<u64>>(&mut self, fields: &Fields<'_, '_>, name: &str, min: u64) -> Vec<T> {
        let Some(entry) = fields.get(name) else { return Vec::new() };
        let Data::List(items) = &entry.value.data else {
            self.wrong_type(fields.at, &entry.key, &entry.value, "a list of numbers");
            return Vec::new();
        };
        items.iter().filter_map(|item| self.count_of(fields.at, &entry.key, item, min)).collect()
    }
}
