use rusqlite::{
    Row, Transaction, params,
    types::{ToSql, Value},
};
use uuid::Uuid;

use super::{
    super::{RunPage, RunQuery, RunStatus, RunSummary, StoreError, seal},
    Sqlite, Sync, execute, rows,
};
use crate::store::blocking::RunStore;

const PUT: &str = "INSERT INTO runs (id, started_us, status, workflow, parent, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
    ON CONFLICT (id) DO UPDATE SET started_us = ?2, status = ?3, workflow = ?4, parent = ?5, body = ?6";

/// A row of the run table: the search columns and the run itself.
struct RunRow {
    id: Vec<u8>,
    started_us: i64,
    status: String,
    body: Vec<u8>,
}

impl RunRow {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self { id: row.get(0)?, started_us: row.get(1)?, status: row.get(2)?, body: row.get(3)? })
    }
}

impl Sqlite {
    fn summary(&self, row: &RunRow) -> Result<RunSummary, StoreError> {
        let location = || match Uuid::from_slice(&row.id) {
            Ok(id) => format!("run {id} in {}", self.location()),
            Err(_) => format!("a run in {}", self.location()),
        };
        let run: RunSummary = seal::open_json(&location(), &row.id, &row.body)?;
        if run.started_at.as_microsecond() != row.started_us || run.status.as_str() != row.status {
            return Err(StoreError::damaged(location(), "its start and status differ from the indexed columns"));
        }
        Ok(run)
    }

    fn summary_in(&self, transaction: &Transaction<'_>, run: Uuid) -> Result<Option<RunSummary>, StoreError> {
        let sql = "SELECT id, started_us, status, body FROM runs WHERE id = ?";
        let found = rows(transaction, sql, [run.as_bytes()], RunRow::read).map_err(|error| self.error(&error))?;
        found.first().map(|row| self.summary(row)).transpose()
    }

    fn put_one(&self, transaction: &Transaction<'_>, run: &RunSummary) -> Result<(), StoreError> {
        let started_us = run.started_at.as_microsecond();
        let before = self.summary_in(transaction, run.id)?;
        let change = |sql: &str, parameters: &[&dyn ToSql]| {
            execute(transaction, sql, parameters).map_err(|error| self.error(&error))
        };
        let location = |run: &RunSummary| (run.started_at.as_microsecond(), run.labels.clone());
        if before.as_ref().map(location) != Some(location(run)) {
            if let Some(before) = before {
                unlabel(&before, change)?;
            }
            for (name, value) in &run.labels {
                let sql = "INSERT INTO labels (name, value, started_us, id) VALUES (?, ?, ?, ?)";
                change(sql, &[name, value, &started_us, run.id.as_bytes()])?;
            }
        }
        let parent = run.parent.map(|parent| parent.as_bytes().to_vec());
        let body = seal::seal_json(run.id.as_bytes(), run);
        change(PUT, params![run.id.as_bytes(), started_us, run.status.as_str(), run.workflow, parent, body])?;
        Ok(())
    }

    /// Returns the first matching runs, limited to `status` if it is given.
    fn list_status(&self, query: &RunQuery, status: Option<RunStatus>) -> Result<Vec<RunSummary>, StoreError> {
        let (sql, parameters) = statement(query, status)?;
        let found = self.rows(&sql, rusqlite::params_from_iter(parameters), RunRow::read)?;
        found.iter().map(|row| self.summary(row)).collect()
    }
}

fn unlabel(
    run: &RunSummary,
    change: impl Fn(&str, &[&dyn ToSql]) -> Result<usize, StoreError>,
) -> Result<(), StoreError> {
    for (name, value) in &run.labels {
        let sql = "DELETE FROM labels WHERE name = ? AND value = ? AND started_us = ? AND id = ?";
        change(sql, &[name, value, &run.started_at.as_microsecond(), run.id.as_bytes()])?;
    }
    Ok(())
}

/// Returns a statement that yields at most one run more than fits on a page. It scans an
/// index in descending order, or the range of ids with the prefix.
fn statement(query: &RunQuery, status: Option<RunStatus>) -> Result<(String, Vec<Value>), StoreError> {
    let ids = query.ids()?;
    let blob = |id: Uuid| Value::Blob(id.as_bytes().to_vec());
    let mut labels = query.labels.iter();
    let (mut sql, mut parameters) = match labels.next() {
        // The join order is explicit, since there are few labels and many runs.
        Some((name, value)) => (
            " FROM labels l CROSS JOIN runs r ON r.id = l.id WHERE l.name = ? AND l.value = ?".to_owned(),
            vec![Value::Text(name.clone()), Value::Text(value.clone())],
        ),
        None => (" FROM runs r WHERE true".to_owned(), Vec::new()),
    };
    let by = if query.labels.is_empty() { "r" } else { "l" };
    let mut and = |condition: &str, values: Vec<Value>| {
        sql.push_str(" AND ");
        sql.push_str(condition);
        parameters.extend(values);
    };
    for (name, value) in labels {
        let condition = format!(
            "EXISTS (SELECT 1 FROM labels o WHERE o.name = ? AND o.value = ? AND o.started_us = {by}.started_us AND o.id = {by}.id)"
        );
        and(&condition, vec![Value::Text(name.clone()), Value::Text(value.clone())]);
    }
    if let Some(status) = status {
        and("r.status = ?", vec![Value::Text(status.to_string())]);
    }
    if let Some(workflow) = &query.workflow {
        and("r.workflow = ?", vec![Value::Text(workflow.clone())]);
    }
    if let Some(parent) = query.parent {
        and("r.parent = ?", vec![blob(parent)]);
    }
    if let Some(from) = query.started_from {
        and(&format!("{by}.started_us >= ?"), vec![Value::Integer(from.as_microsecond())]);
    }
    if let Some(before) = query.started_before {
        and(&format!("{by}.started_us < ?"), vec![Value::Integer(before.as_microsecond())]);
    }
    if query.id_digits() > 0 {
        and("r.id BETWEEN ? AND ?", vec![blob(ids.0), blob(ids.1)]);
    }
    if let Some(after) = query.after {
        let condition = format!("({by}.started_us, {by}.id) < (?, ?)");
        and(&condition, vec![Value::Integer(after.started_us), blob(after.id)]);
    }
    let limit = query.limit + 1;
    sql.push_str(&format!(" ORDER BY {by}.started_us DESC, {by}.id DESC LIMIT {limit}"));
    Ok((format!("SELECT r.id, r.started_us, r.status, r.body{sql}"), parameters))
}

impl RunStore for Sqlite {
    fn put_all(&self, runs: &[RunSummary]) -> Result<(), StoreError> {
        self.write(Sync::No, |transaction| runs.iter().try_for_each(|run| self.put_one(transaction, run)))
    }

    fn get(&self, run: Uuid) -> Result<Option<RunSummary>, StoreError> {
        let sql = "SELECT id, started_us, status, body FROM runs WHERE id = ?";
        self.row(sql, [run.as_bytes()], RunRow::read)?.map(|row| self.summary(&row)).transpose()
    }

    fn list(&self, query: &RunQuery) -> Result<RunPage, StoreError> {
        // Statuses are queried one by one: each query reads only the end of the index for its status, while a combined
        // query would also read the runs of other statuses.
        let mut statuses = query.statuses.clone();
        statuses.sort_unstable();
        statuses.dedup();
        let mut runs = Vec::new();
        if statuses.is_empty() {
            runs = self.list_status(query, None)?;
        }
        for status in statuses {
            runs.extend(self.list_status(query, Some(status))?);
        }
        Ok(query.page(runs))
    }

    fn remove_all(&self, runs: &[Uuid]) -> Result<usize, StoreError> {
        self.write(Sync::No, |transaction| {
            let change = |sql: &str, parameters: &[&dyn ToSql]| {
                execute(transaction, sql, parameters).map_err(|error| self.error(&error))
            };
            let mut removed = 0;
            for run in runs {
                if let Some(before) = self.summary_in(transaction, *run)? {
                    unlabel(&before, change)?;
                }
                removed += change("DELETE FROM runs WHERE id = ?", &[run.as_bytes()])?;
            }
            Ok(removed)
        })
    }
}
