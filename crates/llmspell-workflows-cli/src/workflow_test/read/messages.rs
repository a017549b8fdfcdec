use serde_json::Value;

use super::{Fields, Reader, join};
use crate::workflow_test::{Content, Message};

impl Reader {
    pub(super) fn messages(&mut self, fields: &Fields, at: &str) -> Vec<Message> {
        let all = join(at, "messages");
        let items = self.items(fields, at, "messages").iter().enumerate();
        items.filter_map(|(number, item)| self.message(item, &join(&all, &number.to_string()))).collect()
    }

    fn message(&mut self, value: &Value, at: &str) -> Option<Message> {
        let fields = self.fields(value, at, "a message", &["signal", "data", "received", "cancel", "after"])?;
        let after = self.duration(fields, at, "after");
        let content = match (fields.get("signal"), fields.get("cancel")) {
            (Some(_), None) => Content::Signal {
                name: self.text(fields, at, "signal")?,
                data: fields.get("data").cloned().unwrap_or_default(),
                is_received: self.flag(fields, at, "received").unwrap_or(true),
            },
            (None, Some(cancel)) => {
                for name in ["data", "received"].into_iter().filter(|name| fields.contains_key(*name)) {
                    self.error_at("unknown_field", &join(at, name), format!("`{name}` is only allowed with `signal`"));
                }
                let compensates = match cancel {
                    Value::Bool(true) => false,
                    Value::String(word) if word == "compensate" => true,
                    _ => {
                        self.error_at("bad_value", &join(at, "cancel"), "`cancel` must be `true` or `compensate`");
                        return None;
                    }
                };
                Content::Cancel { compensates }
            }
            _ => {
                let message = "a message must have either `signal`, the name of an event, or `cancel`";
                self.error_at("missing_field", at, message);
                return None;
            }
        };
        Some(Message { at: at.to_owned(), after, content })
    }
}
