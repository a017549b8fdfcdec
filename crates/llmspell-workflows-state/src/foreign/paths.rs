use std::collections::HashSet;

use llmspell_workflows_basic::{StepPath, engine::Decision};

use super::limits::{GENERATION_MAX, PATH_BYTES_MAX, PATH_STEPS_MAX, PATHS_BYTES_MAX};
use crate::record::{ChoiceRef, Record};

/// The paths in the records of a run, and their total length.
#[derive(Default)]
pub(super) struct Paths<'r> {
    /// All paths and their parent paths.
    known: HashSet<&'r str>,
    bytes: usize,
}

impl<'r> Paths<'r> {
    /// Checks every path and generation in the next record.
    pub(super) fn check(&mut self, record: &'r Record) -> Result<(), String> {
        let mut paths: Vec<&'r str> = Vec::new();
        match record {
            // A warning can be about the run as a whole.
            Record::Warned { path, .. } if path.is_empty() => {}
            Record::Started(started) => {
                paths.extend(started.inputs.keys().map(String::as_str));
                paths.extend(started.parent.iter().map(|parent| parent.path.as_str()));
                paths.extend(started.origin.iter().filter_map(|origin| origin.path.as_deref()));
            }
            Record::Rewound(rewound) => {
                paths.extend(rewound.reopened.iter().chain(rewound.inputs.keys()).map(String::as_str));
                paths.extend(rewound.undecided.iter().map(|ChoiceRef { path, .. }| path.as_str()));
                for (path, generation) in &rewound.reentered {
                    check_generation(*generation)?;
                    paths.push(path);
                }
            }
            Record::Redefined(redefined) => {
                if let Some(migrated) = &redefined.migrated {
                    paths.extend(migrated.changes.keys().map(String::as_str));
                    paths.extend(migrated.undecided.iter().map(|ChoiceRef { path, .. }| path.as_str()));
                }
            }
            other => paths.extend(other.path()),
        }
        if let Record::Decided { decision, .. } = record {
            check_decision(decision)?;
        }
        paths.into_iter().try_for_each(|path| self.check_path(path))
    }

    fn check_path(&mut self, path: &'r str) -> Result<(), String> {
        if self.known.contains(path) {
            return Ok(());
        }
        if path.len() > PATH_BYTES_MAX {
            let (shown, bytes) = (path.chars().take(60).collect::<String>(), path.len());
            return Err(format!(
                "the path `{shown}…` of {bytes} bytes exceeds the limit `PATH_BYTES_MAX` of {PATH_BYTES_MAX}"
            ));
        }
        let parsed: StepPath = path.parse().map_err(|error| format!("{error}"))?;
        let steps = parsed.segments().len();
        if steps == 0 {
            return Err(format!("the path `{path}` does not name a step"));
        }
        if steps > PATH_STEPS_MAX {
            return Err(format!("a path of {steps} steps exceeds the limit `PATH_STEPS_MAX` of {PATH_STEPS_MAX}"));
        }
        for segment in parsed.segments() {
            check_generation(segment.generation)?;
            if segment.iteration.is_some_and(|iteration| iteration > u64::from(u32::MAX)) {
                return Err(format!("the path `{path}` has an iteration above {}", u32::MAX));
            }
        }
        self.note(path)
    }

    /// Adds `path` and its parent paths, which also appear as steps in the history.
    fn note(&mut self, path: &'r str) -> Result<(), String> {
        for end in path.match_indices('/').map(|(end, _)| end).skip(1).chain([path.len()]) {
            if self.known.insert(&path[..end]) {
                self.bytes += end;
            }
        }
        if self.bytes <= PATHS_BYTES_MAX {
            return Ok(());
        }
        Err(format!("the paths of all steps exceed the limit `PATHS_BYTES_MAX` of {PATHS_BYTES_MAX} bytes"))
    }
}

fn check_decision(decision: &Decision) -> Result<(), String> {
    match decision {
        Decision::RetryGeneration(_, generation)
        | Decision::RouteGeneration(_, generation)
        | Decision::HookGeneration(_, generation) => check_generation(*generation),
        _ => Ok(()),
    }
}

fn check_generation(generation: u32) -> Result<(), String> {
    if generation <= GENERATION_MAX {
        return Ok(());
    }
    Err(format!("generation {generation} exceeds the limit `GENERATION_MAX` of {GENERATION_MAX}"))
}
