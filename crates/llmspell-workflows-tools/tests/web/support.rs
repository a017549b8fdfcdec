//! A server on the loopback interface that records requests and sends the replies specified by a
//! test.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use http_body_util::BodyExt;
use hyper::body::{Bytes, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use llmspell_workflows_tools::{Policy, Registry, ToolContext, ToolError, standard};
use serde_json::Value;
use tokio::net::TcpListener;

/// A request received by the server.
#[derive(Debug, Clone)]
pub(crate) struct RecordedRequest {
    pub(crate) method: String,
    /// The path and query of the URL.
    pub(crate) target: String,
    headers: hyper::HeaderMap,
    pub(crate) body: String,
}

impl RecordedRequest {
    /// Returns a header's value, or an empty string if the header was not sent.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// The server's response to a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// A status, headers and a body.
    Full(u16, Vec<(&'static str, String)>, Vec<u8>),
    /// Status 200 with a body that never ends.
    Endless,
    /// No response at all; the connection stays open.
    Hang,
    /// Headers without a body; the connection stays open.
    HangInBody,
}

impl Reply {
    /// Creates a reply with status 200 and a body of this content type.
    pub(crate) fn ok(content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::Full(200, vec![("content-type", content_type.to_owned())], body.into())
    }

    pub(crate) fn json(body: &Value) -> Self {
        Self::ok("application/json", body.to_string())
    }

    pub(crate) fn status(status: u16) -> Self {
        Self::Full(status, vec![], b"the reason".to_vec())
    }

    pub(crate) fn redirect(location: impl Into<String>) -> Self {
        Self::Full(302, vec![("location", location.into())], vec![])
    }
}

/// A server that runs until the test's runtime ends.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<RecordedRequest>>>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    pub(crate) async fn start(reply: impl Fn(&RecordedRequest) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (reply, recorded) = (Arc::new(reply), Arc::clone(&requests));
        let connections = Arc::new(AtomicUsize::new(0));
        let accepted = Arc::clone(&connections);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                accepted.fetch_add(1, Ordering::SeqCst);
                let (reply, recorded) = (Arc::clone(&reply), Arc::clone(&recorded));
                let service = service_fn(move |request| respond(request, Arc::clone(&reply), Arc::clone(&recorded)));
                // Ignore errors, because some tests have clients that disconnect.
                tokio::spawn(async move {
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { address, requests, connections }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Returns the requests received so far.
    pub(crate) fn requests(&self) -> Vec<RecordedRequest> {
        self.requests.lock().unwrap().clone()
    }

    /// Returns the number of connections opened so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Returns a policy that allows this server, but no other server on this machine.
    pub(crate) fn policy(&self) -> Policy {
        let mut policy = Policy::default();
        policy.hosts = vec!["*".to_owned(), self.address.to_string()];
        policy
    }

    /// Returns a registry under [`policy`](Self::policy).
    pub(crate) fn tools(&self) -> Registry {
        standard(self.policy().into()).unwrap()
    }
}

/// Calls a tool, and checks that the result matches the tool's result schema.
pub(crate) async fn call(tools: &Registry, tool: &str, parameters: Value) -> Result<Value, ToolError> {
    let result = tools.call(tool, parameters, &ToolContext::default()).await?;
    assert_eq!(tools.check_result(tool, &result).unwrap(), [], "{result}");
    Ok(result)
}

async fn respond(
    request: Request<Incoming>,
    reply: Arc<impl Fn(&RecordedRequest) -> Reply>,
    recorded: Arc<Mutex<Vec<RecordedRequest>>>,
) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let request = RecordedRequest {
        method: head.method.to_string(),
        target: head.uri.to_string(),
        headers: head.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    };
    recorded.lock().unwrap().push(request.clone());
    let (status, headers, body) = match reply(&request) {
        Reply::Full(status, headers, body) => (status, headers, Body::Full(Some(body.into()))),
        Reply::Endless => (200, vec![], Body::Endless),
        Reply::HangInBody => (200, vec![], Body::Pending),
        Reply::Hang => std::future::pending().await,
    };
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    Ok(response.body(body).unwrap())
}

enum Body {
    Full(Option<Bytes>),
    Endless,
    Pending,
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Endless => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 8_192]))))),
            Self::Pending => Poll::Pending,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            _ => SizeHint::default(),
        }
    }
}
