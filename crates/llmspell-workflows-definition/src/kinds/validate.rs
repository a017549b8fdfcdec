use llmspell_workflows_basic::model::{ActivityName, StepKind, Validate, ValidateMode};

use super::Kind;
use crate::{
    dialect::{Shape, VALIDATOR, field},
    print::{Yaml, YamlMap},
    reader::{Fields, Reader, Siblings},
    tree::Data,
};

pub(super) const VALIDATE: Kind = Kind::new(
    "validate",
    "Checks data, and reports all violations together.",
    read,
    &[
        field("data", Shape::Any, "The data to check; also the output, unless `transform` is set.").required(),
        field("schema", Shape::NonNull, "A JSON Schema.").or(&["json_schema"]),
        field("assertions", Shape::Expressions, "Expressions that must be true, with the data as `data`."),
        field(
            "validator",
            Shape::Validator,
            "A function, or another activity as KIND:NAME, that returns a list of errors.",
        ),
        field(
            "mode",
            Shape::Word(&["strict", "warn"]),
            "Whether a violation fails the step (strict) or is only a warning (warn).",
        ),
        field("transform", Shape::NonNull, "A template for the output, rendered once the data is valid.")
            .or(&["transformations"]),
    ],
)
.inferred_from(&["assertions"]);

fn read(
    reader: &mut Reader<'_>,
    _: &'static Kind,
    fields: &Fields<'_, '_>,
    _: &mut Siblings<'_, '_>,
    _: &str,
) -> Option<StepKind> {
    let modes = [("strict", ValidateMode::Strict), ("warn", ValidateMode::Warn)];
    Some(StepKind::Validate(Validate {
        data: reader.json(fields, "data", "data").unwrap_or_default(),
        schema: reader.non_null(fields, "schema"),
        validator: reader.validator(fields),
        assertions: reader.expressions(fields, "assertions"),
        mode: reader.word(fields, "mode", &modes).unwrap_or_default(),
        transform: reader.non_null(fields, "transform"),
    }))
}

impl Reader<'_> {
    /// Reads the validator: `NAME` is a function, `KIND:NAME` any other activity.
    fn validator(&mut self, fields: &Fields<'_, '_>) -> Option<ActivityName> {
        let entry = fields.get("validator")?;
        if let Data::Map(_) = entry.value.data {
            self.mark(fields.at, "validator", entry.value.span);
            let parts = self.fields(&entry.value, &[VALIDATOR], &[], "`validator`", fields.at)?;
            let kind = self.text_of(fields.at, "kind", &parts.get("kind")?.value)?;
            let name = parts.get("name").and_then(|entry| self.text_of(fields.at, "name", &entry.value));
            return Some(ActivityName::new(kind, name.unwrap_or_default()));
        }
        let text = self.text(fields, "validator")?;
        let (kind, name) = text.split_once(':').unwrap_or(("function", &text));
        Some(ActivityName::new(kind, name))
    }
}

pub(super) fn print(check: &Validate, out: &mut YamlMap) {
    out.put("data", &check.data);
    out.put_some("schema", check.schema.as_ref());
    out.put_some("validator", check.validator.as_ref().map(validator));
    out.put_texts("assertions", &check.assertions);
    if check.mode == ValidateMode::Warn {
        out.put("mode", "warn");
    }
    out.put_some("transform", check.transform.as_ref());
}

fn validator(name: &ActivityName) -> Yaml {
    if !name.kind.contains(':') && !name.name.is_empty() {
        return name.to_string().into();
    }
    let mut out = YamlMap::default();
    out.put("kind", &name.kind);
    out.put_some("name", Some(&name.name).filter(|name| !name.is_empty()));
    out.into()
}
