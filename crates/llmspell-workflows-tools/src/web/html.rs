use std::collections::HashSet;

use ego_tree::iter::Edge;
use reqwest::Url;
use scraper::{ElementRef, Html, Node, Selector};
use serde_json::{Map, Value, json};

use super::document::{self, WorkLimit};
use crate::{ToolError, ToolErrorClass, parameters};

/// Elements that begin and end with a line break in the extracted text.
const BLOCKS: &[&str] = &[
    "address",
    "article",
    "aside",
    "blockquote",
    "br",
    "caption",
    "dd",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hr",
    "li",
    "main",
    "nav",
    "ol",
    "option",
    "p",
    "pre",
    "section",
    "table",
    "tbody",
    "tfoot",
    "thead",
    "title",
    "tr",
    "ul",
];
/// Elements whose content is not visible.
const HIDDEN: &[&str] = &["script", "style", "noscript", "template", "svg", "head"];

/// A parsed page.
pub(super) struct Page {
    html: Html,
    /// The base of relative URLs.
    base: Url,
    limit: WorkLimit,
}

impl Page {
    /// Parses `text`, which was loaded from `url`.
    pub(super) fn parse(text: &str, url: &Url, limit: WorkLimit) -> Result<Self, ToolError> {
        let html = document::parse(text, &limit)?;
        let declared = html.select(&fixed("base[href]")).next().and_then(|base| base.attr("href"));
        let base = declared.and_then(|href| url.join(href).ok()).unwrap_or_else(|| url.clone());
        Ok(Self { html, base, limit })
    }

    /// Returns the title of the page.
    pub(super) fn title(&self) -> Option<String> {
        self.html.select(&fixed("head > title")).next().map(text_of)
    }

    /// Returns the text of each element that matches `selector`, in document order. Fails if the total size exceeds
    /// `bytes_max`; nested matches repeat the same text.
    pub(super) fn texts(&self, selector: &Selector, bytes_max: usize) -> Result<Vec<String>, ToolError> {
        let mut texts = Vec::new();
        let mut bytes = 0;
        for element in self.html.select(selector) {
            self.limit.check()?;
            let text = text_of(element);
            bytes += text.len();
            if bytes > bytes_max {
                let message = format!("the text matched by the selector is larger than {bytes_max} bytes");
                return Err(ToolError::new(ToolErrorClass::Limit, "output_too_large", message)
                    .with_help("use a more specific selector"));
            }
            texts.push(text);
        }
        Ok(texts)
    }

    /// Returns the page's deduplicated links, each with the text of its first occurrence.
    pub(super) fn links(&self) -> Result<Vec<Value>, ToolError> {
        let links =
            self.html.select(&fixed("a[href]")).map(|link| (link, link.attr("href").unwrap_or_default())).collect();
        self.unique(links, |link, url| json!({"url": url, "text": text_of(link)}))
    }

    /// Returns the page's deduplicated images, each with its description.
    pub(super) fn images(&self) -> Result<Vec<Value>, ToolError> {
        let images =
            self.html.select(&fixed("img[src]")).map(|image| (image, image.attr("src").unwrap_or_default())).collect();
        self.unique(images, |image, url| json!({"url": url, "alt": image.attr("alt").unwrap_or_default()}))
    }

    /// Returns the page's metadata: `meta` elements by name or property, the canonical URL and the language.
    pub(super) fn meta(&self) -> Map<String, Value> {
        let mut meta = Map::new();
        for element in self.html.select(&fixed("meta[content]")) {
            let name = element.attr("name").or_else(|| element.attr("property"));
            if let (Some(name), Some(content)) = (name, element.attr("content")) {
                meta.entry(name.to_ascii_lowercase()).or_insert_with(|| content.into());
            }
        }
        let canonical = self.html.select(&fixed("link[rel~=canonical][href]")).next();
        if let Some(url) = canonical.and_then(|link| self.base.join(link.attr("href")?).ok()) {
            meta.insert("canonical".into(), url.as_str().into());
        }
        if let Some(language) = self.html.root_element().attr("lang") {
            meta.insert("language".into(), language.into());
        }
        meta
    }

    fn unique(
        &self,
        found: Vec<(ElementRef<'_>, &str)>,
        describe: impl Fn(ElementRef<'_>, &str) -> Value,
    ) -> Result<Vec<Value>, ToolError> {
        let mut seen = HashSet::new();
        let mut unique = Vec::new();
        for (element, address) in found {
            self.limit.check()?;
            let Ok(url) = self.base.join(address.trim()) else {
                continue;
            };
            let is_web = matches!(url.scheme(), "http" | "https" | "mailto" | "ftp");
            if is_web && seen.insert(url.clone()) {
                unique.push(describe(element, url.as_str()));
            }
        }
        Ok(unique)
    }
}

/// Parses a CSS selector from the parameters.
pub(super) fn selector(name: &str, css: &str) -> Result<Selector, ToolError> {
    Selector::parse(css).map_err(|error| parameters::invalid(format!("invalid selector `{css}` for `{name}`: {error}")))
}

fn fixed(css: &str) -> Selector {
    Selector::parse(css).expect("the selector is a constant that the tests use")
}

/// Returns the visible text of `element`: one line for each block, with single spaces between words.
pub(super) fn text_of(element: ElementRef<'_>) -> String {
    let mut lines = vec![String::new()];
    let mut hidden = 0_usize;
    // This is not recursive, because the page determines the nesting depth.
    for edge in element.traverse() {
        let (node, opens) = match edge {
            Edge::Open(node) => (node, true),
            Edge::Close(node) => (node, false),
        };
        match node.value() {
            Node::Element(inner) if HIDDEN.contains(&inner.name()) && node.id() != element.id() => {
                hidden = if opens { hidden + 1 } else { hidden - 1 };
            }
            Node::Element(inner) if hidden == 0 && BLOCKS.contains(&inner.name()) => lines.push(String::new()),
            Node::Element(inner) if hidden == 0 && matches!(inner.name(), "td" | "th") => push(&mut lines, " "),
            Node::Text(text) if hidden == 0 && opens => push(&mut lines, text),
            _ => {}
        }
    }
    let lines = lines.iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

fn push(lines: &mut [String], text: &str) {
    if let Some(line) = lines.last_mut() {
        line.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use tokio_util::sync::CancellationToken;

    use super::*;

    fn page(html: &str) -> Page {
        Page::parse(
            html,
            &Url::parse("https://example.com/news/today.html").unwrap(),
            WorkLimit::new(CancellationToken::new()),
        )
        .unwrap()
    }

    #[test]
    fn text_is_extracted_as_a_browser_shows_it() {
        for (html, expected) in [
            ("<body>a <b>b</b>\n  c</body>", "a b c"),
            ("<body><p>one</p><p>two<br>three</p></body>", "one\ntwo\nthree"),
            ("<body>a<script>no()</script>b<style>no{}</style><template><p>no</p></template></body>", "ab"),
            ("<body><table><tr><td>1</td><td>2</td></tr><tr><td>3</td></tr></table></body>", "1 2\n3"),
            ("<body><ul><li>x<li>y</ul></body>", "x\ny"),
            ("<body>&lt;tag&gt; &amp; caf&eacute;</body>", "<tag> & café"),
            ("", ""),
        ] {
            assert_eq!(page(html).texts(&fixed("body"), 100).unwrap(), [expected], "{html}");
        }
    }

    #[test]
    fn the_size_limit_applies_to_all_matches_together() {
        let html = format!("{}deep{}", "<div>".repeat(10), "</div>".repeat(10));
        assert_eq!(page(&html).texts(&fixed("div"), 40).unwrap().len(), 10);
        assert_eq!(page(&html).texts(&fixed("div"), 39).unwrap_err().code, "output_too_large");
    }

    #[test]
    fn links_and_images_are_deduplicated_and_have_absolute_urls() {
        let html = r##"<a href="a.html">A</a><a href="/b">B</a><a href="a.html">again</a><a href="javascript:x()">no</a>
            <a href="#top">top</a><a href="http://[bad">no</a><img src="//cdn.example.com/i.png" alt="I"><img src="i.png">"##;
        assert_eq!(
            page(html).links().unwrap(),
            [
                json!({"url": "https://example.com/news/a.html", "text": "A"}),
                json!({"url": "https://example.com/b", "text": "B"}),
                json!({"url": "https://example.com/news/today.html#top", "text": "top"}),
            ]
        );
        assert_eq!(
            page(html).images().unwrap(),
            [
                json!({"url": "https://cdn.example.com/i.png", "alt": "I"}),
                json!({"url": "https://example.com/news/i.png", "alt": ""}),
            ]
        );
        let with_base = page(r#"<base href="/other/"><a href="a">A</a>"#);
        assert_eq!(with_base.links().unwrap()[0]["url"], "https://example.com/other/a");
    }

    #[test]
    fn the_title_and_metadata_of_a_page_are_extracted() {
        let html = r#"<html lang="en"><head><title> The
            title </title><meta name="Description" content="D"><meta property="og:title" content="O"><meta charset="utf-8">
            <link rel="canonical" href="/c"></head><body><svg><title>no</title></svg></body></html>"#;
        let page = page(html);
        assert_eq!(page.title().as_deref(), Some("The title"));
        let expected = json!({
            "description": "D", "og:title": "O", "canonical": "https://example.com/c", "language": "en",
        });
        assert_eq!(Value::Object(page.meta()), expected);
    }
}
