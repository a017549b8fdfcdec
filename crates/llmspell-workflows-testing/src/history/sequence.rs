//! Paths of steps, and the declared order in which steps are executed.

use serde::{Deserialize, Serialize};

/// Lists of steps that are executed one after the other. Each step is identified by its path
/// without generations.
///
/// The steps of a list have the same parent. `[*]` stands for any iteration: `/main/each[*]/fetch`
/// and `/main/each[*]/store` are in sequence in each iteration. An entry whose last segment is
/// `each[*]` also declares that the iterations follow each other. A step includes everything inside
/// it, except for cleanup such as `$undo` that the entry does not name.
///
/// ```
/// use llmspell_workflows_testing::history::Sequences;
///
/// let sequences = Sequences(vec![vec!["/main/first".into(), "/main/each[*]".into(), "/main/last".into()]]);
/// assert!(sequences.precedes("/main/first", "/main/each[2]/work"));
/// assert!(sequences.precedes("/main/each[1]/work", "/main/each[2]/work"));
/// assert!(!sequences.precedes("/main/last", "/main/first~2"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sequences(pub Vec<Vec<String>>);

/// A segment of a path: an id, with an iteration number and a generation number.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Segment<'p> {
    id: &'p str,
    /// `Some("*")` in a pattern.
    iteration: Option<&'p str>,
    generation: &'p str,
}

fn segments(path: &str) -> Vec<Segment<'_>> {
    let segment = |text| {
        let (text, generation) = str::split_once(text, '~').unwrap_or((text, "1"));
        let (id, iteration) = match text.strip_suffix(']').and_then(|text| text.split_once('[')) {
            Some((id, iteration)) => (id, Some(iteration)),
            None => (text, None),
        };
        Segment { id, iteration, generation }
    };
    path.split('/').filter(|text| !text.is_empty()).map(segment).collect()
}

/// Returns whether `path` matches the pattern `entry` or is inside the matching step.
fn is_at(entry: &[Segment<'_>], path: &[Segment<'_>]) -> bool {
    let is_last = |at: usize| at + 1 == entry.len();
    let matches = |(at, (entry, segment)): (usize, (&Segment<'_>, &Segment<'_>))| {
        let same_iteration = match entry.iteration {
            Some("*") => segment.iteration.is_some(),
            None if is_last(at) => true,
            other => other == segment.iteration,
        };
        entry.id == segment.id && same_iteration
    };
    let has_cleanup = || path[entry.len()..].iter().any(|segment| segment.id.starts_with('$'));
    path.len() >= entry.len() && entry.iter().zip(path).enumerate().all(matches) && !has_cleanup()
}

impl Sequences {
    /// Returns whether the step at `earlier` must end before the step at `later` begins.
    ///
    /// Steps in different iterations or generations of an enclosing block are not compared.
    #[must_use]
    pub fn precedes(&self, earlier: &str, later: &str) -> bool {
        let (earlier, later) = (segments(earlier), segments(later));
        self.0.iter().any(|list| {
            let entries: Vec<_> = list.iter().map(|entry| segments(entry)).collect();
            let find = |path: &[Segment<'_>]| entries.iter().position(|entry| is_at(entry, path));
            let (Some(one), Some(other)) = (find(&earlier), find(&later)) else { return false };
            let last = entries[one].len() - 1;
            if entries[other].len() != last + 1 || earlier[..last] != later[..last] {
                return false;
            }
            match one.cmp(&other) {
                std::cmp::Ordering::Less => true,
                std::cmp::Ordering::Greater => false,
                std::cmp::Ordering::Equal => {
                    let number = |segment: &Segment<'_>| segment.iteration.and_then(|text| text.parse::<u64>().ok());
                    entries[one][last].iteration == Some("*")
                        && earlier[last].generation == later[last].generation
                        && number(&earlier[last]) < number(&later[last])
                }
            }
        })
    }
}

/// Returns `path` without the generations of its segments.
pub(super) fn without_generations(path: &str) -> String {
    let plain: Vec<&str> = path.split('/').map(|text| text.split_once('~').map_or(text, |(text, _)| text)).collect();
    plain.join("/")
}

/// Returns whether the two steps are in the same list or block.
pub(super) fn are_siblings(one: &str, other: &str) -> bool {
    let parent = |path: &str| path.rsplit_once('/').map(|(parent, _)| parent.to_owned());
    parent(one) == parent(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_order_steps_within_the_same_iteration_and_generation() {
        let sequences = Sequences(vec![
            vec!["/main/a".to_owned(), "/main/each[*]".to_owned(), "/main/b".to_owned(), "/main/$finally".to_owned()],
            vec!["/main/each[*]/x".to_owned(), "/main/each[*]/y".to_owned()],
            vec!["/main/all[*]/x".to_owned(), "/main/all[*]/y".to_owned()],
            vec!["/main/p/q".to_owned(), "/main/p/r".to_owned()],
        ]);
        for (earlier, later, expected) in [
            ("/main/a", "/main/b", true),
            ("/main/b", "/main/a", false),
            ("/main/a", "/main/a", false),
            ("/main/a", "/main/a~2", false),
            ("/main/a", "/main/each[7]/x", true),
            ("/main/a~2", "/main/each[7]/x", true),
            ("/main/each[0]/y", "/main/each[1]/x", true),
            ("/main/each[10]/y", "/main/each[9]/x", false),
            ("/main/each[0]/y", "/main/each[1]~2/x", false),
            ("/main/each[1]/x", "/main/each[1]/y", true),
            ("/main/each[1]/x", "/main/each[2]/y", true),
            ("/main/all[1]/x", "/main/all[2]/y", false),
            ("/main/all[1]/x", "/main/all[1]/y~3", true),
            ("/main/all[1]~2/x", "/main/all[1]/y", false),
            ("/main/each[3]/y/deep", "/main/$finally/tidy", true),
            ("/main/p/q", "/main/p~2/r", false),
            ("/main/a/$undo", "/main/b", false),
            ("/main/other", "/main/b", false),
        ] {
            assert_eq!(sequences.precedes(earlier, later), expected, "{earlier} before {later}");
        }
    }
}
