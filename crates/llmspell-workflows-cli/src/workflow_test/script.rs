use std::{collections::HashSet, time::Duration};

use jiff::Timestamp;
use llmspell_workflows_basic::{Run, engine::Signal, nearest};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Content, Message, Mismatch, Watch};

/// The messages of a case in order, each sent as soon as the run can only wait.
pub(super) struct Script {
    start: Timestamp,
    messages: Vec<(Message, Progress)>,
}

#[derive(Default)]
struct Progress {
    is_sent: bool,
    /// The runs that the signal was delivered to: the run itself, or sub-workflows.
    delivered_to: HashSet<Uuid>,
}

/// Returns `start` plus `duration`, or the maximum timestamp on overflow.
pub(super) fn after(start: Timestamp, duration: Duration) -> Timestamp {
    start.checked_add(duration).unwrap_or(Timestamp::MAX)
}

impl Script {
    /// Creates the script of a run that starts at `start`.
    pub(super) fn new(messages: &[Message], start: Timestamp) -> Self {
        Self { start, messages: messages.iter().map(|message| (message.clone(), Progress::default())).collect() }
    }

    fn due_at(&self, message: &Message) -> Timestamp {
        message.after.map_or(self.start, |delay| after(self.start, delay))
    }

    /// Sends the first message that is due and has an effect; returns whether a message was sent.
    ///
    /// A signal is kept until a step waits for its event, as in a real run.
    pub(super) fn send(&mut self, now: Timestamp, watch: &Watch, root: &Run) -> bool {
        let waits = watch.waits();
        for number in 0..self.messages.len() {
            if self.due_at(&self.messages[number].0) > now {
                continue;
            }
            let (message, progress) = &mut self.messages[number];
            match &message.content {
                Content::Cancel { .. } if progress.is_sent => {}
                Content::Cancel { compensates } => {
                    progress.is_sent = true;
                    if *compensates {
                        root.cancel_and_compensate()
                    } else {
                        root.cancel()
                    }
                    return true;
                }
                Content::Signal { name, data, .. } => {
                    let number = signal_number(number);
                    if watch.receiver(number).is_some() {
                        continue;
                    }
                    let mut waiting = waits.values().filter(|wait| wait.event.as_ref() == Some(name));
                    if let Some(wait) = waiting.find(|wait| progress.delivered_to.insert(wait.run.id())) {
                        progress.is_sent = true;
                        wait.run.deliver(Signal::new(number, name.clone(), data.clone()));
                        return true;
                    }
                }
            }
        }
        false
    }

    /// Returns the time after `now` at which the next message is due.
    pub(super) fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let unsent = self.messages.iter().filter(|(_, progress)| !progress.is_sent);
        unsent.map(|(message, _)| self.due_at(message)).filter(|time| *time > now).min()
    }

    /// Returns the messages that were received unexpectedly, or that were not received by `end`,
    /// the end of the run.
    pub(super) fn mismatches(&self, watch: &Watch, end: Timestamp) -> Vec<Mismatch> {
        let numbered = self.messages.iter().enumerate();
        numbered
            .filter_map(|(number, (message, progress))| self.mismatch(number, message, progress, watch, end))
            .collect()
    }

    fn mismatch(
        &self,
        number: usize,
        message: &Message,
        progress: &Progress,
        watch: &Watch,
        end: Timestamp,
    ) -> Option<Mismatch> {
        let at = format!("messages/{number}");
        let is_due = self.due_at(message) <= end;
        let (name, is_received) = match &message.content {
            Content::Cancel { .. } if progress.is_sent => return None,
            Content::Cancel { .. } => {
                let note = match is_due {
                    true => "the run ended before it had nothing left to do but wait",
                    false => BEFORE_DUE,
                };
                return Some(Mismatch::new(at, "the run is cancelled".into(), None).with_note(note));
            }
            Content::Signal { name, is_received, .. } => (name, *is_received),
        };
        match (watch.receiver(signal_number(number)), is_received) {
            (None, true) => {
                let note = if is_due { why_not_received(name, progress, watch) } else { BEFORE_DUE.to_owned() };
                Some(Mismatch::new(at, json!(format!("a step receives `{name}`")), None).with_note(note))
            }
            (Some(path), false) => {
                let expected = json!(format!("no step receives `{name}`"));
                Some(Mismatch::new(at, expected, Some(Value::from(format!("received by {path}")))))
            }
            _ => None,
        }
    }
}

/// The reason why a message with `after` was not sent.
const BEFORE_DUE: &str = "the run ended, or time stopped, before it was due";

/// Returns the signal number for message `number` of a case.
fn signal_number(number: usize) -> u64 {
    number as u64 + 1
}

fn why_not_received(name: &str, progress: &Progress, watch: &Watch) -> String {
    let awaited = watch.awaited();
    let mut steps: Vec<_> = awaited.iter().filter(|(event, _)| event == name).map(|(_, path)| path.as_str()).collect();
    steps.dedup();
    if progress.is_sent {
        let steps = steps.join(", ");
        return format!(
            "sent while {steps} waited for it, but a `filter` was false for its data, or another signal came first; if \
             that is expected, add `received: false`"
        );
    }
    if !steps.is_empty() {
        return format!("when it was due, {} no longer waited for it", steps.join(", "));
    }
    let mut events: Vec<&str> = awaited.iter().map(|(event, _)| event.as_str()).collect();
    events.sort_unstable();
    events.dedup();
    match nearest(name, events.iter().copied()) {
        Some(near) => format!("no step waited for `{name}`; did you mean `{near}`?"),
        None if events.is_empty() => format!("no step waited for `{name}`, or for any other event"),
        None => format!("no step waited for `{name}`; steps waited for: {}", events.join(", ")),
    }
}
