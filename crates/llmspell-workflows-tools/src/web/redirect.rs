//! Builds the request that follows a redirect.

use reqwest::header::{ACCEPT, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, LOCATION, USER_AGENT};
use reqwest::{Method, StatusCode, Url};

use super::client::Request;

/// The headers that describe the request and contain nothing specific to a host.
const DESCRIPTIVE: [reqwest::header::HeaderName; 3] = [ACCEPT, CONTENT_TYPE, USER_AGENT];

/// Returns the request that follows a response to `request`, unless the response is not a redirect.
///
/// A request to another host, port or scheme is sent without the headers and credentials of the
/// first request, because they are meant for the first host.
pub(super) fn next(request: &Request, status: StatusCode, headers: &HeaderMap) -> Option<Request> {
    let keeps_body = match status {
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => request.method != Method::POST,
        StatusCode::SEE_OTHER => matches!(request.method, Method::GET | Method::HEAD),
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => true,
        _ => return None,
    };
    // A response without a usable location is returned as the result.
    let url = request.url.join(headers.get(LOCATION)?.to_str().ok()?).ok()?;
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let mut next = Request { url, ..request.clone() };
    if !keeps_body {
        (next.method, next.body) = (Method::GET, None);
        for name in [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING] {
            next.headers.remove(name);
        }
    }
    if next.url.origin() == request.url.origin() {
        keep_credentials(&mut next.url, &request.url);
    } else {
        next.headers =
            DESCRIPTIVE.into_iter().filter_map(|name| Some((name.clone(), next.headers.get(name)?.clone()))).collect();
    }
    Some(next)
}

/// Copies the user name and the password of `from`, unless `to` has its own.
fn keep_credentials(to: &mut Url, from: &Url) {
    if to.username().is_empty() && to.password().is_none() {
        // Neither call can fail, because `from` already has these credentials and the same origin.
        let _ = to.set_username(from.username()).and_then(|()| to.set_password(from.password()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: Method) -> Request {
        let headers =
            [("x-key", "secret"), ("authorization", "secret"), ("content-type", "text/plain"), ("accept", "a/b")];
        let headers = headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let url = Url::parse("http://user:secret@one.example:8080/a?b").unwrap();
        Request { method, headers: headers.into_iter().collect(), body: Some(b"body".to_vec()), ..Request::get(url) }
    }

    fn follow(request: &Request, status: u16, location: &str) -> Option<Request> {
        let headers = [(LOCATION, location.parse().unwrap())].into_iter().collect();
        next(request, StatusCode::from_u16(status).unwrap(), &headers)
    }

    #[test]
    fn only_the_same_origin_receives_headers_and_credentials_again() {
        for (location, expected) in [
            ("/b", true),
            ("b", true),
            ("http://one.example:8080/b", true),
            ("http://ONE.example:8080/b", true),
            ("//one.example:8080/b", true),
            ("http://one.example/b", false),
            ("http://one.example:8081/b", false),
            ("https://one.example:8080/b", false),
            ("http://two.example:8080/b", false),
            ("http://one.example.two.example:8080/b", false),
            ("http://other@two.example:8080/b", false),
            ("http://127.0.0.1:8080/b", false),
        ] {
            let next = follow(&request(Method::GET), 302, location).unwrap();
            let has_secret =
                next.headers.values().any(|value| value == "secret") || next.url.as_str().contains("secret");
            assert_eq!(has_secret, expected, "{location}");
            assert_eq!(
                (next.headers.len(), next.url.password()),
                if expected { (4, Some("secret")) } else { (2, None) }
            );
        }
        let mut secure = request(Method::GET);
        secure.url = Url::parse("https://one.example/a").unwrap();
        let next = follow(&secure, 302, "http://one.example/a").unwrap();
        assert_eq!(next.headers.get("x-key"), None, "a downgrade");
    }

    #[test]
    fn the_status_determines_the_method_and_the_body() {
        let (get, post, put) = (Method::GET, Method::POST, Method::PUT);
        for (method, status, expected) in [
            (&post, 301, Some((&get, false))),
            (&post, 302, Some((&get, false))),
            (&post, 303, Some((&get, false))),
            (&post, 307, Some((&post, true))),
            (&post, 308, Some((&post, true))),
            (&put, 302, Some((&put, true))),
            (&put, 303, Some((&get, false))),
            (&get, 302, Some((&get, true))),
            (&get, 300, None),
            (&get, 304, None),
            (&get, 200, None),
        ] {
            let next = follow(&request(method.clone()), status, "/b");
            let got = next.as_ref().map(|next| (&next.method, next.body.is_some()));
            assert_eq!(got, expected, "{method} {status}");
        }
        for location in ["http://[", "file:///etc/passwd", "data:,x"] {
            assert!(follow(&request(Method::GET), 302, location).is_none(), "{location}");
        }
    }
}
