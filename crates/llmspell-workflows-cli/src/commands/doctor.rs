use std::{
    collections::BTreeSet,
    fs, io,
    net::{TcpStream, ToSocketAddrs},
    path::Path,
    time::Duration,
};

use clap::Args;
use llmspell_workflows_basic::secrets::{SECRET_BYTES_MIN, is_too_short};
use serde::Serialize;
use serde_json::json;

use crate::{
    App, Exit, Failure,
    config::{Config, Origin, Settings},
    host,
    output::Paint,
};

/// The time limit of a connection attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Checks the setup: configuration, tools, folders, programs, API keys and secrets.
///
/// For keys and secrets, prints only whether they are set.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  \
        spellflow doctor\n  \
        spellflow doctor --online\n  \
        spellflow doctor -o json")]
pub(crate) struct Doctor {
    /// Also connect to the configured endpoints.
    #[arg(long)]
    online: bool,
}

/// The result of one check, and a remedy if the check did not succeed.
#[derive(Debug, Serialize)]
struct Check {
    check: String,
    status: Status,
    message: String,
    help: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    Warn,
    Fail,
}

impl Doctor {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        let mut checks = vec![check("version", Ok(env!("CARGO_PKG_VERSION").to_owned()))];
        match app.config() {
            Err(failure) => checks.push(failed("configuration", &failure)),
            Ok(config) => {
                checks.push(check("configuration", Ok(format!("valid ({})", files(config)))));
                self.check_settings(config.settings(), &mut checks);
            }
        }
        let is_ok = checks.iter().all(|check| check.status != Status::Fail);
        if app.output().is_text() {
            checks.iter().for_each(|check| app.output().text(&line(app, check)));
        } else {
            app.output().payload(&json!({"ok": is_ok, "checks": checks}));
        }
        Ok(if is_ok { Exit::Ok } else { Exit::Failed })
    }

    fn check_settings(&self, settings: &Settings, checks: &mut Vec<Check>) {
        checks.push(match host::tools(settings) {
            Ok(tools) => check("tools", Ok(format!("{} available", tools.specs().count()))),
            Err(failure) => failed("tools", &failure),
        });
        let policy = &settings.policy;
        let base = policy.working_directory.clone().unwrap_or_default();
        checks.extend(policy.read_roots.iter().map(|root| folder("read", root, readable(&base.join(root)))));
        checks.extend(policy.write_roots.iter().map(|root| folder("write", root, writable(&base.join(root)))));
        checks.extend(programs(settings));
        checks.extend(providers(settings));
        checks.extend(settings.secrets.iter().map(|(name, variable)| {
            let about = format!("secret {name}");
            match host::secret(settings, name) {
                Some(value) if is_too_short(&value) => warning(
                    &about,
                    format!("`{variable}` has fewer than {SECRET_BYTES_MIN} bytes, too few to be masked"),
                    "pass a non-secret value under `env` or as an input",
                ),
                Some(_) => check(&about, Ok(format!("set by {variable}"))),
                None => warning(
                    &about,
                    format!("`{variable}` is not set"),
                    "set it before you run a workflow that needs the secret",
                ),
            }
        }));
        if self.online {
            let endpoints = policy.search.providers.values().filter_map(|provider| provider.endpoint.as_deref());
            checks.extend(endpoints.map(reachable));
        }
    }
}

/// Lists the configuration files that were read.
fn files(config: &Config) -> String {
    let origins = config.shown().filter_map(|(_, _, origin)| match origin {
        Origin::File(path) => Some(path.display().to_string()),
        _ => None,
    });
    let files: BTreeSet<String> = origins.collect();
    if files.is_empty() { "no file".to_owned() } else { files.into_iter().collect::<Vec<_>>().join(", ") }
}

fn check(about: &str, result: Result<String, (String, &str)>) -> Check {
    let (status, message, help) = match result {
        Ok(message) => (Status::Ok, message, None),
        Err((message, help)) => (Status::Fail, message, Some(help.to_owned())),
    };
    Check { check: about.to_owned(), status, message, help }
}

fn warning(about: &str, message: String, help: &str) -> Check {
    Check { check: about.to_owned(), status: Status::Warn, message, help: Some(help.to_owned()) }
}

fn failed(about: &str, failure: &Failure) -> Check {
    Check {
        check: about.to_owned(),
        status: Status::Fail,
        message: failure.message.clone(),
        help: failure.help.clone(),
    }
}

fn line(app: &App, check: &Check) -> String {
    let status = match check.status {
        Status::Ok => app.output().on_out(Paint::Good, "ok  "),
        Status::Warn => app.output().on_out(Paint::Warn, "warn"),
        Status::Fail => app.output().on_out(Paint::Bad, "FAIL"),
    };
    let help = check.help.as_ref().map(|help| format!("       help: {help}\n")).unwrap_or_default();
    format!("{status}  {}: {}\n{help}", check.check, check.message)
}

fn folder(verb: &str, root: &Path, result: io::Result<()>) -> Check {
    // Shows `/project/.` as `/project`.
    let shown: std::path::PathBuf = root.components().collect();
    let about = format!("{verb} {}", shown.display());
    match result {
        Ok(()) => check(&about, Ok("possible".to_owned())),
        Err(error) => check(
            &about,
            Err((error.to_string(), "create it, or change the roots under `[tools]` in `spellflow.toml`")),
        ),
    }
}

fn readable(folder: &Path) -> io::Result<()> {
    fs::read_dir(within(folder)).map(drop)
}

/// Creates and removes a file, because permissions alone do not show whether a folder is writable.
fn writable(folder: &Path) -> io::Result<()> {
    let probe = within(folder).join(format!(".spellflow-doctor-{}", std::process::id()));
    fs::OpenOptions::new().write(true).create_new(true).open(&probe)?;
    fs::remove_file(probe)
}

fn within(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}

/// Checks the programs that `shell` steps may start: the shell, git, and the programs named in the
/// configuration.
fn programs(settings: &Settings) -> Vec<Check> {
    let named = settings.policy.programs.iter().filter(|name| !name.contains('*')).map(String::as_str);
    let mut names: Vec<&str> = ["sh", "git"].into_iter().chain(named).collect();
    names.sort_unstable();
    names.dedup();
    let found = |name: &str| {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&paths).map(|folder| folder.join(name)).find(|program| program.is_file())
    };
    let program = |name: &str| {
        let about = format!("program {name}");
        match found(name) {
            _ if !settings.policy.allows_program(name) => warning(
                &about,
                "not allowed".to_owned(),
                "add it to `programs` under `[tools]` if `shell` steps need it",
            ),
            Some(program) => check(&about, Ok(program.display().to_string())),
            None => warning(&about, "not found".to_owned(), "install it if `shell` steps need it"),
        }
    };
    names.into_iter().map(program).collect()
}

fn providers(settings: &Settings) -> Vec<Check> {
    let search = &settings.policy.search;
    let mut checks = Vec::new();
    for (name, provider) in &search.providers {
        let about = format!("search {name}");
        checks.push(match provider.key(name) {
            _ if name == "duckduckgo" => check(&about, Ok("configured, needs no key".to_owned())),
            Ok(_) => check(&about, Ok("configured with a key".to_owned())),
            Err(error) => warning(&about, error.message, error.help.as_deref().unwrap_or("configure an API key")),
        });
    }
    match &search.default_provider {
        Some(name) if name != "duckduckgo" && !search.providers.contains_key(name) => {
            let message = format!("the default provider `{name}` is not configured");
            checks.push(warning("search", message, "add `[tools.search.providers.NAME]` to `spellflow.toml`"));
        }
        None if search.providers.is_empty() => {
            checks.push(check("search", Ok("duckduckgo, which needs no key".to_owned())));
        }
        _ => {}
    }
    checks
}

fn reachable(endpoint: &str) -> Check {
    // Only host and port are shown: the rest of the URL may contain a key.
    let address = address(endpoint);
    let about = address.as_ref().map_or("endpoint".to_owned(), |(host, port)| format!("endpoint {host}:{port}"));
    let connected = address.ok_or_else(|| io::Error::other("not a URL with a host")).and_then(|address| {
        let mut last = io::Error::other("the host name has no address");
        for address in address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
                Ok(_) => return Ok(()),
                Err(error) => last = error,
            }
        }
        Err(last)
    });
    match connected {
        Ok(()) => check(&about, Ok("reachable".to_owned())),
        Err(error) => check(&about, Err((error.to_string(), "check the network and the configured endpoint"))),
    }
}

/// Returns the host and port of a URL.
fn address(url: &str) -> Option<(String, u16)> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split(['/', '?', '#']).next().filter(|host| !host.is_empty())?;
    let host = host.rsplit('@').next()?;
    let default = if scheme == "http" { 80 } else { 443 };
    match host.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && !port.ends_with(']') => {
            Some((host.trim_matches(['[', ']']).to_owned(), port.parse().ok()?))
        }
        _ => Some((host.trim_matches(['[', ']']).to_owned(), default)),
    }
}
