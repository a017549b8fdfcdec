//! Golden tests of the live view's screens at several widths; `UPDATE_GOLDEN=1` updates the golden
//! text.

use std::{fs, path::Path, time::Duration};

use jiff::Timestamp;
use llmspell_workflows_basic::{
    ErrorClass, StepError,
    engine::{Awaited, SkipReason, StepStatus},
};
use uuid::Uuid;

use super::{
    super::{Event, Place},
    *,
};
use crate::{output::Format, screen::tests::Emulator};

const WIDTHS: [u16; 3] = [60, 80, 200];
const ROWS: u16 = 24;

/// A run whose frames are drawn on an emulated terminal.
struct Shown {
    state: State,
    terminal: Emulator,
    screen: crate::screen::Screen,
    rows: u16,
}

impl Shown {
    fn new(columns: u16) -> Self {
        let terminal = Emulator::new(ROWS, columns);
        Self { state: State::default(), screen: terminal.screen(), terminal, rows: ROWS }
    }

    fn take(&mut self, event: &Event<'_>) {
        self.state.tree.take(event);
    }

    fn begin(&mut self, path: &Place, parts: Option<usize>, item: Option<&str>) {
        self.take(&Event::Began { path, kind: "shell", is_leaf: parts.is_none(), parts, item });
    }

    fn end(&mut self, path: &Place, status: StepStatus) {
        let error = StepError::new(
            ErrorClass::Transient,
            "process_failed",
            "the process ended with exit code 1: no route to host",
        );
        let error = Some(&error).filter(|_| status == StepStatus::Failed);
        self.take(&Event::Ended { path, status, elapsed: Duration::from_millis(1200), error });
    }

    fn draw(&mut self, frame: Option<usize>) {
        let (_, columns) = self.screen.size();
        let drawing = Drawing { output: Output::plain(Format::Text), columns, frame };
        let lines_max = if frame.is_some() { usize::from(self.rows) - 1 } else { LINES_MAX.min(14) };
        let lines = self.state.lines(&drawing, lines_max);
        self.screen.draw(&lines);
        if frame.is_none() {
            self.screen.keep();
        }
    }

    fn text(&self) -> String {
        let lines = self.terminal.lines();
        lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
    }
}

fn place(text: &str) -> Place {
    Place(vec![text.parse().unwrap()])
}

/// Compares the screens of `show` at each width with the golden text `name`.
fn check(name: &str, show: impl Fn(&mut Shown) -> Vec<(&'static str, String)>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let _entered = runtime.enter();
    let mut text = String::new();
    for columns in WIDTHS {
        for (moment, screen) in runtime.block_on(async { show(&mut Shown::new(columns)) }) {
            text += &format!("=== {columns} columns, {moment}\n{screen}");
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/screens").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &text).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, golden, "{name} differs; `UPDATE_GOLDEN=1` updates it");
}

/// The screens while 200 parallel steps run, and after the run has ended.
#[test]
fn two_hundred_parallel_steps_fit_on_the_screen() {
    check("parallel_live.txt", |shown| {
        let block = place("/main/fan_out");
        shown.begin(&block, Some(200), None);
        let steps: Vec<Place> = (1..=200).map(|number| place(&format!("/main/fan_out/host_{number:03}"))).collect();
        steps[..100].iter().for_each(|step| shown.begin(step, None, None));
        shown.draw(Some(0));
        let began = shown.text();
        steps[..45].iter().for_each(|step| shown.end(step, StepStatus::Completed));
        shown.end(&steps[50], StepStatus::Failed);
        steps[100..146].iter().for_each(|step| shown.begin(step, None, None));
        shown.draw(Some(1));
        let running = shown.text();
        steps[146..].iter().for_each(|step| shown.begin(step, None, None));
        for (at, step) in steps.iter().enumerate().filter(|(at, _)| *at >= 45 && *at != 50) {
            shown.end(step, if at == 120 { StepStatus::Failed } else { StepStatus::Completed });
        }
        shown.end(&block, StepStatus::Failed);
        shown.draw(None);
        vec![("as it begins", began), ("while it runs", running), ("after it ended", shown.text())]
    });
}

#[test]
fn wait_shows_its_event_and_the_command_that_sends_it() {
    check("wait_live.txt", |shown| {
        let (block, gate, other) = (place("/main/review"), place("/main/review/approve"), place("/main/review/build"));
        shown.begin(&block, Some(3), None);
        shown.begin(&gate, None, None);
        shown.begin(&other, None, None);
        let awaited = Awaited {
            signal: Some("approved".to_owned()),
            since: Timestamp::UNIX_EPOCH,
            until: Some("2020-01-01T12:00:00Z".parse().unwrap()),
        };
        shown.take(&Event::Awaits { path: &gate, run: Uuid::nil(), awaited: &awaited });
        shown.draw(Some(0));
        let waiting = shown.text();
        shown.take(&Event::Received { path: &gate });
        shown.end(&gate, StepStatus::Completed);
        shown.draw(Some(1));
        vec![("while it waits", waiting), ("after the answer", shown.text())]
    });
}

#[test]
fn iterations_show_their_item_and_blocks_show_their_progress() {
    check("loop_live.txt", |shown| {
        let each = place("/main/each");
        shown.take(&Event::Began { path: &each, kind: "loop", is_leaf: false, parts: None, item: None });
        shown.take(&Event::Counted { path: &each, total: 12 });
        for (number, item) in
            ["alpha.example.org", r#"{"name":"beta","zone":"a rather long descr…"#, "日本語"].iter().enumerate()
        {
            let body = place(&format!("/main/each[{number}]"));
            shown.begin(&body, Some(2), Some(item));
            let step = place(&format!("/main/each[{number}]/check"));
            shown.begin(&step, None, None);
            if number == 0 {
                shown.end(&step, StepStatus::Completed);
                shown.end(&body, StepStatus::Completed);
            }
        }
        let skipped = place("/main/notify");
        let reason = SkipReason::new("condition_false", "the condition `failed > 0` is false");
        shown.take(&Event::Skipped { path: &skipped, reason: &reason });
        shown.draw(Some(0));
        vec![("while it runs", shown.text())]
    });
}

#[test]
fn ctrl_c_stays_visible_below_many_running_steps() {
    check("ctrl_c_live.txt", |shown| {
        shown.begin(&place("/main/fan_out"), Some(40), None);
        let steps: Vec<Place> = (1..=40).map(|number| place(&format!("/main/fan_out/host_{number:02}"))).collect();
        steps.iter().for_each(|step| shown.begin(step, None, None));
        shown.draw(Some(0));
        shown.state.notice = Some(
            "pausing the run: running steps have 10.0s to finish; press Ctrl-C again to stop immediately".to_owned(),
        );
        shown.draw(Some(1));
        let pausing = shown.text();
        steps[1..].iter().for_each(|step| shown.end(step, StepStatus::Completed));
        shown.draw(Some(2));
        let one = shown.text();
        shown.end(&steps[0], StepStatus::Cancelled);
        shown.end(&place("/main/fan_out"), StepStatus::Cancelled);
        shown.draw(None);
        vec![("at once", pausing), ("while one step still runs", one), ("after it stopped", shown.text())]
    });
}

/// Resizing the terminal while frames of different lengths are drawn leaves only the last frame on
/// the screen.
#[test]
fn resized_terminal_shows_only_the_last_frame() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let _entered = runtime.enter();
    let mut shown = Shown::new(80);
    let steps: Vec<Place> = (0..60).map(|number| place(&format!("/main/step_with_a_long_name_{number}"))).collect();
    for (round, step) in steps.iter().enumerate() {
        shown.begin(step, None, None);
        if round % 3 > 0 {
            shown.end(step, if round % 7 == 0 { StepStatus::Failed } else { StepStatus::Completed });
        }
        shown.terminal.resize(ROWS, [80, 44, 120, 21][round % 4]);
        shown.draw(Some(round));
        let drawing =
            Drawing { output: Output::plain(Format::Text), columns: shown.screen.size().1, frame: Some(round) };
        let frame = shown.state.lines(&drawing, usize::from(ROWS) - 1);
        assert_eq!(shown.terminal.lines().len(), frame.len(), "round {round}:\n{}", shown.text());
    }
}
