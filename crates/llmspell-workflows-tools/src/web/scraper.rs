use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::Url;
use scraper::Selector;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::client::{Client, Request, parse_url};
use super::document::Stop;
use super::html::{self, Page};
use super::{body, charset, failure, parameters as request};
use crate::blocking::blocking;
use crate::{Category, Permission, SecurityLevel, Tool, ToolContext, ToolError, ToolErrorClass, ToolSpec, parameters};

/// Names that a selector may not have: the result's own properties, and what references take for the whole output.
const RESERVED: &[&str] = &["url", "links", "images", "meta", "missing", "result", "results", "output"];
/// Where the text of `selector` goes.
const CONTENT: &str = "content";

/// Reads the parts of a web page.
pub(super) struct WebScraper {
    spec: ToolSpec,
    client: Arc<Client>,
}

#[derive(Deserialize)]
struct Parameters {
    input: String,
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

/// What is taken from the page.
struct Wanted {
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
            description: "Reads the parts of a web page that CSS selectors name, as the server sends it.",
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
            "input": {"type": "string", "minLength": 1, "description": "The URL."},
            "selectors": {
                "type": "object",
                "propertyNames": {"not": {"enum": RESERVED}},
                "additionalProperties": {"type": "string", "minLength": 1},
                "description": "CSS selectors by the name of the result's property that gets the text they match.",
            },
            "selector": {
                "type": "string", "minLength": 1,
                "description": "A CSS selector whose text becomes `content`; without any selector that is the page's body.",
            },
            "wait_for_js": {
                "const": false, "default": false,
                "description": "pages are read as the server sends them, without running their scripts",
            },
            "extract_links": flag("Whether the result has `links`: [{url, text}]."),
            "extract_images": flag("Whether the result has `images`: [{url, alt}]."),
            "extract_meta": flag("Whether the result has `meta`: what the page says about itself, by name."),
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
            "url": {"type": "string", "description": "Where the page came from after redirects."},
            "title": {
                "type": ["string", "null"],
                "description": "The page's title, unless a selector of that name was given.",
            },
            "content": {"type": ["string", "null"], "description": "What `selector` matched."},
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
            "description": "What the selector of that name matched, a line for each match; null where nothing did.",
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
        let mut request = Request::get(parse_url(&parameters.input)?);
        request.timeout = request::timeout(parameters.timeout);
        let wanted = Wanted::read(parameters)?;
        let response = self.client.send(&request, context).await?;
        if !response.status.is_success() {
            return Err(failure::of_status(&response));
        }
        let content_type = body::content_type(&response.headers).to_owned();
        check_page(&content_type, &response.url)?;
        let bytes_max = self.client.policy().output_bytes_max;
        let stop = Stop::new(context.cancellation.clone());
        blocking(move || {
            let text = charset::decode_html(&response.body, &content_type);
            wanted.take(&Page::parse(&text, &response.url, stop)?, &response.url, bytes_max)
        })
        .await
    }
}

impl Wanted {
    fn read(parameters: Parameters) -> Result<Self, ToolError> {
        let mut named = parameters.selectors;
        let content = parameters.selector.or_else(|| named.is_empty().then(|| "body".to_owned()));
        if let Some(content) = content
            && named.insert(CONTENT.to_owned(), content).is_some()
        {
            return Err(parameters::invalid("`selector` and `selectors.content` both give `content`")
                .with_help("give one of them another name within `selectors`"));
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

    fn take(&self, page: &Page, url: &Url, bytes_max: usize) -> Result<Value, ToolError> {
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

/// Refuses what is no page, such as a PDF or an image.
fn check_page(content_type: &str, url: &Url) -> Result<(), ToolError> {
    let media_type = body::media_type(content_type);
    if media_type.is_empty() || media_type.starts_with("text/") || media_type.ends_with("xml") {
        return Ok(());
    }
    Err(ToolError::new(
        ToolErrorClass::Validation,
        "not_a_page",
        format!("`{}` is `{media_type}`, not a web page", failure::shown(url)),
    )
    .with_help("read it with `http_requester`"))
}
