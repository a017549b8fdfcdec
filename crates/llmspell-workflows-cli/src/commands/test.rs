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
    workflow_test::{self, CaseReport, File, Options, report_text},
};

/// Runs tests of workflows, with mocks in place of tools.
///
/// Of a folder every `.test.yaml` file in it. A tool that is not mocked fails its case unless `--allow-real` is given.
/// `docs/testing-workflows.md` describes the files.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  \
        spellflow test flow.test.yaml\n  \
        spellflow test workflows --case greets\n  \
        spellflow test . -o json")]
pub(crate) struct Test {
    /// Test files, or folders of them.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Only cases whose name has this in it.
    #[arg(long, value_name = "TEXT")]
    case: Option<String>,
    /// Lets activities that are not mocked do their real work.
    #[arg(long)]
    allow_real: bool,
}

/// How the cases of a file went.
#[derive(Debug, Serialize)]
struct FileReport {
    file: String,
    workflow: Option<String>,
    cases: Vec<CaseReport>,
    /// The file or its workflow is wrong.
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
            match self.file(&path, settings) {
                Ok((workflow, cases)) => {
                    reports.push(FileReport { file, workflow: Some(workflow), cases, error: None })
                }
                Err(failure) => {
                    broken = broken.or(Some(failure.exit));
                    if app.output().is_text() {
                        app.output().failure(&failure);
                    }
                    let error = failure.to_json()["error"].take();
                    reports.push(FileReport { file, workflow: None, cases: Vec::new(), error: Some(error) });
                }
            }
        }
        let cases = || reports.iter().flat_map(|report| &report.cases);
        let (passed, failed) =
            (cases().filter(|case| case.passed).count(), cases().filter(|case| !case.passed).count());
        if passed + failed == 0 && broken.is_none() {
            let message = format!("no case has `{}` in its name", self.case.unwrap_or_default());
            return Err(Failure::new(Exit::NotFound, "nothing_found", message));
        }
        if app.output().is_text() {
            for report in &reports {
                app.output().text(&report_text(app.output(), &report.file, report.workflow.as_deref(), &report.cases));
            }
            let wrong = reports.iter().filter(|report| report.error.is_some()).count();
            let wrong = if wrong > 0 { format!(", {wrong} not run because a file is wrong") } else { String::new() };
            app.output().text(&format!("{passed} passed, {failed} failed{wrong}\n"));
        } else {
            app.output().payload(&json!({"passed": passed, "failed": failed, "files": reports}));
        }
        Ok(match (failed, broken) {
            (0, None) => Exit::Ok,
            (0, Some(exit)) => exit,
            _ => Exit::Failed,
        })
    }

    /// The cases of one file that are asked for.
    fn file(&self, path: &Path, settings: &Settings) -> Result<(String, Vec<CaseReport>), Failure> {
        let source = Source::read(path)?;
        let (file, plain) = File::read(&source.text, &source.name).map_err(invalid_test)?;
        let workflow = path.parent().unwrap_or(Path::new("")).join(&file.workflow);
        let tools = host::tools(settings)?;
        // It is the test that is wrong where it names a workflow that is not there.
        let source = Source::read(&workflow).map_err(|failure| Failure { exit: Exit::Invalid, ..failure })?;
        let readable = llmspell_workflows_definition::read(&source.text, &source.name, &Default::default());
        let definition = readable.map_err(Failure::invalid)?.definition;
        let problems = workflow_test::problems(&file, &definition, &tools);
        if !problems.is_empty() {
            return Err(invalid_test(plain.to_diagnostics(&problems)));
        }
        let stand_ins = workflow_test::stand_ins(&file, &definition, &host::engine(settings)?.build(), &tools);
        let definition: Arc<Definition> =
            Arc::new(source.check(&host::engine(settings)?.activities(stand_ins.clone()).build())?.definition);
        let engine = || {
            // What only mocks answer shall not depend on the machine.
            let engine = if self.allow_real { host::engine(settings) } else { host::sealed_engine(settings) };
            Ok(engine?.activities(stand_ins.clone()))
        };
        let options = Options { tools, allows_real: self.allow_real, engine: &engine };
        let is_chosen = |name: &str| self.case.as_ref().is_none_or(|part| name.contains(part.as_str()));
        let cases = file.cases.iter().filter(|case| is_chosen(&case.name));
        let reports = cases.map(|case| workflow_test::run(&file, case, &definition, &options)).collect();
        Ok((definition.name.clone(), reports))
    }
}

/// A test file that says something wrong.
fn invalid_test(diagnostics: Diagnostics) -> Failure {
    let message = format!("`{}` is not a valid test", diagnostics.file());
    Failure { code: "invalid_test".to_owned(), message, ..Failure::invalid(diagnostics) }
}
