use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use llmspell_workflows_basic::model::Definition;
use llmspell_workflows_definition::Diagnostics;
use serde::Serialize;
use serde_json::json;

use crate::{
    App, Exit, Failure,
    config::Settings,
    folders, host,
    source::Source,
    workflow_test::{self, CaseReport, File, Mismatch, Options, report_text},
};

/// Runs workflow tests, in which mocks replace tools.
///
/// For a folder, runs every `.test.yaml` file in it. A case that calls a tool without a mock fails
/// unless `--allow-real` is given. `docs/testing-workflows.md` describes the file format.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  \
        spellflow test flow.test.yaml\n  \
        spellflow test workflows --case greets\n  \
        spellflow test . -o json")]
pub(crate) struct Test {
    /// Test files, or folders that contain them.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Run only cases whose name contains this text.
    #[arg(long, value_name = "TEXT")]
    case: Option<String>,
    /// Run the real activities if they have no mock.
    #[arg(long)]
    allow_real: bool,
}

/// The results of a file's cases.
#[derive(Debug, Serialize)]
struct FileReport {
    file: String,
    workflow: Option<String>,
    cases: Vec<CaseReport>,
    /// The file's mocks that no case used; empty if only some cases ran.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mismatches: Vec<Mismatch>,
    /// The problem with the file or its workflow, if the cases could not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<serde_json::Value>,
}

impl Test {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let settings = app.config()?.settings();
        let mut reports = Vec::new();
        let mut broken = None;
        for path in folders::tests(&self.files)? {
            let file = path.display().to_string();
            match self.run_file(&path, settings) {
                Ok(report) => reports.push(report),
                Err(failure) => {
                    broken = broken.or(Some(failure.exit));
                    if app.output().is_text() {
                        app.output().failure(&failure);
                    }
                    let error = failure.to_json()["error"].take();
                    reports.push(FileReport {
                        file,
                        workflow: None,
                        cases: Vec::new(),
                        mismatches: Vec::new(),
                        error: Some(error),
                    });
                }
            }
        }
        let cases = || reports.iter().flat_map(|report| &report.cases);
        let (passed, failed) =
            (cases().filter(|case| case.passed).count(), cases().filter(|case| !case.passed).count());
        let unused: usize = reports.iter().map(|report| report.mismatches.len()).sum();
        if passed + failed == 0 && broken.is_none() {
            let message = format!("no case name contains `{}`", self.case.unwrap_or_default());
            return Err(Failure::new(Exit::NotFound, "nothing_found", message));
        }
        if app.output().is_text() {
            for report in &reports {
                let FileReport { file, workflow, cases, mismatches, .. } = report;
                app.output().text(&report_text(app.output(), file, workflow.as_deref(), cases, mismatches));
            }
            let not_run = reports.iter().filter(|report| report.error.is_some()).count();
            let not_run = match not_run {
                0 => String::new(),
                1 => ", 1 file not run".to_owned(),
                count => format!(", {count} files not run"),
            };
            let unused = match unused {
                0 => String::new(),
                1 => ", 1 unused mock".to_owned(),
                count => format!(", {count} unused mocks"),
            };
            app.output().text(&format!("{passed} passed, {failed} failed{unused}{not_run}\n"));
        } else {
            app.output().payload(&json!({"passed": passed, "failed": failed, "files": reports}));
        }
        Ok(match (failed + unused, broken) {
            (0, None) => Exit::Ok,
            (0, Some(exit)) => exit,
            _ => Exit::Failed,
        })
    }

    /// Runs the selected cases of one file.
    fn run_file(&self, path: &Path, settings: &Settings) -> Result<FileReport, Failure> {
        let source = Source::read(path)?;
        let (file, plain) = File::read(&source.text, &source.name).map_err(invalid_test)?;
        let workflow = path.parent().unwrap_or(Path::new("")).join(&file.workflow);
        let tools = host::tools(settings)?;
        // If the workflow named in the test does not exist, the test is invalid.
        let source = Source::read(&workflow).map_err(|failure| Failure { exit: Exit::Invalid, ..failure })?;
        let readable = llmspell_workflows_definition::read(&source.text, &source.name, &Default::default());
        // Problems in sub-workflows are reported when the definition is checked.
        let definition = source.embed(&readable.map_err(Failure::invalid)?.definition);
        let problems = workflow_test::problems(&file, &definition, &tools);
        if !problems.is_empty() {
            return Err(invalid_test(plain.to_diagnostics(&problems)));
        }
        let placeholders = workflow_test::placeholders(&file, &definition, &host::engine(settings)?.build(), &tools);
        let definition: Arc<Definition> =
            Arc::new(source.check(&host::engine(settings)?.activities(placeholders.clone()).build())?.definition);
        let engine = || {
            // Without `--allow-real`, results must not depend on the machine.
            let engine = if self.allow_real { host::engine(settings) } else { host::sealed_engine(settings) };
            Ok(engine?.activities(placeholders.clone()))
        };
        let options = Options { tools, allows_real: self.allow_real, engine: &engine };
        let is_selected = |name: &str| self.case.as_ref().is_none_or(|part| name.contains(part.as_str()));
        let cases = file.cases.iter().filter(|case| is_selected(&case.name));
        let cases: Vec<_> = cases.map(|case| workflow_test::run(&file, case, &definition, &options)).collect();
        // A mock in the file may be meant for a case that was not selected or could not run.
        let has_all = self.case.is_none() && cases.iter().all(|case| case.error.is_none());
        let mismatches = if has_all { workflow_test::unused_mocks(&file, &cases) } else { Vec::new() };
        let (file, workflow) = (path.display().to_string(), Some(definition.name.clone()));
        Ok(FileReport { file, workflow, cases, mismatches, error: None })
    }
}

/// Converts the diagnostics of an invalid test file.
fn invalid_test(diagnostics: Diagnostics) -> Failure {
    let message = format!("`{}` is not a valid test", diagnostics.file());
    Failure { code: "invalid_test".to_owned(), message, ..Failure::invalid(diagnostics) }
}
