use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::Url;
use scraper::Selector;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::client::{Client, Request, Response};
use super::document::WorkLimit;
use super::html::{self, Page};
use super::{body, charset, failure, parameters as request};
use crate::blocking::blocking;
use crate::{Category, Permission, SecurityLevel, Tool, ToolContext, ToolError, ToolErrorClass, ToolSpec, parameters};

/// Names that a selector must not have: properties of the result, and names that refer to the whole
/// output.
const RESERVED: &[&str] = &["url", "links", "images", "meta", "missing", "result", "results", "output"];
/// The property that contains the text of `selector`.
const CONTENT: &str = "content";

/// Extracts parts of a web page.
pub(super) struct WebScraper {
    spec: ToolSpec,
    client: Arc<Client>,
}

#[derive(Deserialize)]
struct Parameters {
    input: String,
    #[serde(default)]
    query: Map<String, Value>,
    #[serde(default)]
    selectors: BTreeMap<String, String>,
    selector: Option<String>,
    #[serde(default)]
    extract_links: bool,
    #[serde(default)]
    extract_images: bool,
    #[serde(default)]
    extract_meta: bool,
    timeout: Option<f64>,
}

/// The parts to extract from a page.
struct Extraction {
    fields: Vec<(String, Selector)>,
    links: bool,
    images: bool,
    meta: bool,
}

impl WebScraper {
    pub(super) fn new(client: Arc<Client>) -> Self {
        let spec = ToolSpec {
            name: "web_scraper",
            aliases: &["web_scrape"],
            description: "Extracts the parts of a web page that match CSS selectors, without running its scripts.",
            category: Category::Web,
            security_level: SecurityLevel::Restricted,
            permissions: &[Permission::Network],
            parameters: parameter_schema(),
            result: result_schema(),
        };
        Self { spec, client }
    }
}

fn parameter_schema() -> Value {
    let flag = |description: &str| json!({"type": "boolean", "default": false, "description": description});
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["input"],
        "properties": {
            "input": request::url_schema(),
            "query": request::query_schema(),
            "selectors": {
                "type": "object",
                "propertyNames": {"not": {"enum": RESERVED}},
                "additionalProperties": {"type": "string", "minLength": 1},
                "description": "CSS selectors by name; each name becomes a property of the result with the matched text.",
            },
            "selector": {
                "type": "string", "minLength": 1,
                "description": "A CSS selector whose text becomes `content`; without any selector, the page's body is used.",
            },
            "wait_for_js": {
                "const": false, "default": false,
                "description": "the scripts of a page are never run",
            },
            "extract_links": flag("Add `links` to the result: [{url, text}]."),
            "extract_images": flag("Add `images` to the result: [{url, alt}]."),
            "extract_meta": flag("Add `meta` to the result: the page's metadata by name."),
            "timeout": request::timeout_schema(),
        },
    })
}

fn result_schema() -> Value {
    let pair = |second: &str| {
        json!({"type": "array", "items": {
            "type": "object", "additionalProperties": false, "required": ["url", second],
            "properties": {"url": {"type": "string"}, second: {"type": "string"}},
        }})
    };
    json!({
        "type": "object",
        "required": ["url", "title", "missing"],
        "properties": {
            "url": {"type": "string", "description": "The final URL after redirects."},
            "title": {
                "type": ["string", "null"],
                "description": "The page's title, unless a selector is named `title`.",
            },
            "content": {"type": ["string", "null"], "description": "The text that `selector` matched."},
            "missing": {
                "type": "array", "items": {"type": "string"},
                "description": "The names of the selectors that matched nothing.",
            },
            "links": pair("text"),
            "images": pair("alt"),
            "meta": {"type": "object", "additionalProperties": {"type": "string"}},
        },
        "additionalProperties": {
            "type": ["string", "null"],
            "description": "The text that the selector with this name matched, one line per match; null if nothing matched.",
        },
    })
}

#[async_trait]
impl Tool for WebScraper {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, parameters: Value, context: &ToolContext) -> Result<Value, ToolError> {
        let parameters: Parameters = parameters::read(parameters)?;
        let mut request = Request::get(request::url_with(&parameters.input, &parameters.query)?);
        request.timeout = request::timeout(parameters.timeout);
        let extraction = Extraction::new(parameters)?;
        let response = self.client.send(&request, context).await?;
        if !response.status.is_success() {
            return Err(failure::status_error(&response));
        }
        let content_type = body::content_type(&response.headers).to_owned();
        check_page(&content_type, &response)?;
        let bytes_max = self.client.policy().output_bytes_max;
        let limit = WorkLimit::new(context.cancellation.clone());
        blocking(move || {
            let text = charset::decode_html(&response.body, &content_type);
            extraction.apply(&Page::parse(&text, &response.url, limit)?, &response.url, bytes_max)
        })
        .await
    }
}

impl Extraction {
    fn new(parameters: Parameters) -> Result<Self, ToolError> {
        let mut named = parameters.selectors;
        let content = parameters.selector.or_else(|| named.is_empty().then(|| "body".to_owned()));
        if let Some(content) = content
            && named.insert(CONTENT.to_owned(), content).is_some()
        {
            return Err(parameters::invalid("`selector` and `selectors.content` both define `content`")
                .with_help("rename one of them in `selectors`"));
        }
        let fields = named.into_iter().map(|(name, css)| {
            let selector = html::selector(&name, &css)?;
            Ok((name, selector))
        });
        Ok(Self {
            fields: fields.collect::<Result<_, ToolError>>()?,
            links: parameters.extract_links,
            images: parameters.extract_images,
            meta: parameters.extract_meta,
        })
    }

    fn apply(&self, page: &Page, url: &Url, bytes_max: usize) -> Result<Value, ToolError> {
        let mut result = Map::new();
        result.insert("url".into(), url.as_str().into());
        result.insert("title".into(), page.title().into());
        let mut missing = Vec::new();
        for (name, selector) in &self.fields {
            let texts = page.texts(selector, bytes_max)?;
            if texts.is_empty() {
                missing.push(name.as_str());
            }
            let text = (!texts.is_empty()).then(|| texts.join("\n"));
            result.insert(name.clone(), text.into());
        }
        result.insert("missing".into(), missing.into());
        if self.links {
            result.insert("links".into(), page.links()?.into());
        }
        if self.images {
            result.insert("images".into(), page.images()?.into());
        }
        if self.meta {
            result.insert("meta".into(), page.meta().into());
        }
        Ok(Value::Object(result))
    }
}

/// Fails if the response is not a page, for example if it is a PDF or an image.
fn check_page(content_type: &str, response: &Response) -> Result<(), ToolError> {
    let media_type = body::media_type(content_type);
    let is_page = media_type.is_empty() || media_type.starts_with("text/") || media_type.ends_with("xml");
    let what = match body::encoding(&response.body, &response.headers) {
        Some(encoding) => format!("content encoded as `{encoding}`"),
        None if is_page => return Ok(()),
        None => format!("`{media_type}`"),
    };
    Err(ToolError::new(
        ToolErrorClass::Validation,
        "not_a_page",
        format!("expected a web page, got {what} from `{}`", failure::redacted(&response.url)),
    )
    .with_help("use `http_requester` instead"))
}
