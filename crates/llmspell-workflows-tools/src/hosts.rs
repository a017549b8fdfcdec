use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::{ToolError, ToolErrorClass, wildcard};

/// Rules that determine which hosts tools may connect to. A host is checked by name before a request, and by address
/// once the name is resolved.
///
/// A rule is `HOST[:PORT]`, where HOST is a name (`*` matches any number of characters), an address (`127.0.0.1`,
/// `[::1]`) or a block of addresses (`10.0.0.0/8`). The most specific kind of rule wins: if any rule names a host
/// exactly, wildcard rules are ignored for that host.
///
/// Non-public addresses (loopback, private, link-local including cloud metadata services, and so
/// on) are refused unless a rule names the host exactly or lists the address. Even with the rule
/// `*`, a public name that resolves to a private address is refused, and so is a redirect to a
/// private address.
///
/// ```
/// use llmspell_workflows_tools::HostRules;
///
/// let rules = HostRules::parse(&["*".into(), "127.0.0.1:8080".into()])?;
/// assert!(rules.check_host("example.com", 443).is_ok());
/// assert!(rules.check_host("127.0.0.1", 8080).is_ok());
/// assert!(rules.check_host("127.0.0.1", 22).is_err());
/// assert!(rules.check_address("example.com", [169, 254, 169, 254].into()).is_err());
/// # Ok::<(), llmspell_workflows_tools::ToolError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct HostRules {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
struct Rule {
    host: Host,
    port: Option<u16>,
}

#[derive(Debug, Clone)]
enum Host {
    Exact(String),
    Pattern(String),
    Block(IpNet),
}

impl HostRules {
    /// Parses rules; the error names the malformed rule.
    pub fn parse(rules: &[String]) -> Result<Self, ToolError> {
        let rules = rules.iter().map(|text| Rule::parse(text)).collect::<Result<_, _>>()?;
        Ok(Self { rules })
    }

    /// Checks that `host` (a name or an address as it appears in a URL) may be contacted on `port`.
    pub fn check_host(&self, host: &str, port: u16) -> Result<(), ToolError> {
        let name = normal(host);
        let address = name.parse::<IpAddr>().ok();
        let specific: Vec<&Rule> = self.rules.iter().filter(|rule| rule.names(&name, address)).collect();
        let allowed = if specific.is_empty() {
            address.is_none_or(is_public) && self.rules.iter().any(|rule| rule.covers(&name) && rule.admits(port))
        } else {
            specific.iter().any(|rule| rule.admits(port))
        };
        if allowed { Ok(()) } else { Err(refused(&format!("{host}:{port}"), host)) }
    }

    /// Checks that `host`, already accepted by [`check_host`](Self::check_host), may be reached at `address`.
    pub fn check_address(&self, host: &str, address: IpAddr) -> Result<(), ToolError> {
        let name = normal(host);
        let listed = |rule: &Rule| match &rule.host {
            Host::Exact(exact) => *exact == name,
            // A host given by name has not been checked against the port of a block, so blocks with
            // a port are ignored.
            Host::Block(block) => rule.port.is_none() && block.contains(&unmapped(address)),
            Host::Pattern(_) => false,
        };
        if is_public(address) || self.rules.iter().any(listed) {
            return Ok(());
        }
        Err(refused(&format!("{host}: it resolves to the non-public address {address}"), host))
    }
}

impl Rule {
    fn parse(text: &str) -> Result<Self, ToolError> {
        let malformed = || {
            ToolError::new(ToolErrorClass::Configuration, "invalid_host_rule", format!("`{text}` is not a valid host rule"))
                .with_help("expected HOST or HOST:PORT; HOST is a name (`*` matches any text), an address (an IPv6 address with a port goes in []) or a block such as 10.0.0.0/8")
        };
        let text = text.trim();
        if let Some(block) = block(text) {
            return Ok(Self { host: Host::Block(block), port: None });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port.parse().map_err(|_| malformed())?)),
            None => (text, None),
        };
        if let Some(block) = block(host) {
            return Ok(Self { host: Host::Block(block), port });
        }
        let name = normal(host);
        let legal = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '*');
        if name.is_empty() || !name.chars().all(legal) {
            return Err(malformed());
        }
        let host = if name.contains('*') { Host::Pattern(name) } else { Host::Exact(name) };
        Ok(Self { host, port })
    }

    fn names(&self, name: &str, address: Option<IpAddr>) -> bool {
        match &self.host {
            Host::Exact(exact) => exact == name,
            Host::Block(block) => address.is_some_and(|address| block.contains(&unmapped(address))),
            Host::Pattern(_) => false,
        }
    }

    fn covers(&self, name: &str) -> bool {
        matches!(&self.host, Host::Pattern(pattern) if wildcard::matches(pattern, name))
    }

    fn admits(&self, port: u16) -> bool {
        self.port.is_none_or(|own| own == port)
    }
}

fn refused(target: &str, host: &str) -> ToolError {
    ToolError::new(ToolErrorClass::Configuration, "host_refused", format!("not allowed to connect to {target}"))
        .with_help(format!("to allow it, add `{host}` to `hosts` in the policy"))
}

/// Parses an address or a block of addresses; URL brackets are removed first.
fn block(text: &str) -> Option<IpNet> {
    let text = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

fn normal(host: &str) -> String {
    host.trim_end_matches('.').trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase()
}

/// Converts an IPv4-mapped IPv6 address (`::ffff:10.0.0.1`) to IPv4.
fn unmapped(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

/// Returns whether the public internet routes `address`, according to IANA's registries of special-purpose addresses.
fn is_public(address: IpAddr) -> bool {
    match unmapped(address) {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b)) // carrier-grade NAT; a cloud provider's metadata service
        || (a == 192 && b == 0 && c == 0) // protocol assignments
        || (a == 192 && b == 88 && c == 99) // 6to4 relays
        || (a == 198 && (b == 18 || b == 19))) // benchmarks
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let parts = address.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Ipv4Addr::new(a, b, c, d)
    };
    match parts {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => is_public_v4(v4(high, low)), // NAT64
        [0x2002, high, low, ..] => is_public_v4(v4(high, low)),               // 6to4
        [0x2001, second, ..] if second < 0x200 => false,                      // protocol assignments, Teredo
        [0x2001, 0xdb8, ..] => false,                                         // documentation
        [0x3fff, second, ..] if second < 0x1000 => false,                     // documentation
        // Only 2000::/3 is allocated; the rest is loopback, local, multicast or unassigned.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(rules: &[&str]) -> HostRules {
        HostRules::parse(&rules.iter().map(|rule| (*rule).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn the_most_specific_rule_wins() {
        for (list, host, port, expected) in [
            (vec!["*"], "example.com", 443, true),
            (vec!["*"], "127.0.0.1", 80, false),
            (vec!["*"], "[::1]", 80, false),
            (vec!["*"], "8.8.8.8", 80, true),
            (vec![], "example.com", 443, false),
            (vec!["example.com"], "EXAMPLE.com.", 443, true),
            (vec!["example.com"], "www.example.com", 443, false),
            (vec!["*.example.com"], "www.example.com", 443, true),
            (vec!["*.example.com"], "evil-example.com", 443, false),
            (vec!["*.example.com:443"], "www.example.com", 80, false),
            (vec!["127.0.0.1:8080"], "127.0.0.1", 8080, true),
            (vec!["*", "127.0.0.1:8080"], "127.0.0.1", 22, false),
            (vec!["*", "localhost:8080"], "localhost", 22, false),
            (vec!["10.0.0.0/8"], "10.1.2.3", 5432, true),
            (vec!["10.0.0.0/8"], "11.1.2.3", 5432, false),
            (vec!["10.0.0.0/8:5432"], "10.1.2.3", 22, false),
            (vec!["[::1]:80"], "[::1]", 80, true),
            (vec!["::1"], "[::1]", 80, true),
            (vec!["10.0.0.0/8"], "[::ffff:10.1.2.3]", 80, true),
        ] {
            assert_eq!(rules(&list).check_host(host, port).is_ok(), expected, "{list:?} {host}:{port}");
        }
    }

    #[test]
    fn resolved_addresses_are_checked_against_the_rules() {
        for (list, host, address, expected) in [
            (vec!["*"], "example.com", "93.184.216.34", true),
            (vec!["*"], "example.com", "10.0.0.1", false),
            (vec!["*"], "example.com", "169.254.169.254", false),
            (vec!["*"], "example.com", "::ffff:127.0.0.1", false),
            (vec!["*.internal"], "db.internal", "10.0.0.1", false),
            (vec!["db.internal"], "db.internal", "10.0.0.1", true),
            (vec!["*.internal", "10.0.0.0/8"], "db.internal", "10.0.0.1", true),
            (vec!["*", "10.0.0.0/8:80"], "db.internal", "10.0.0.1", false),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(rules(&list).check_address(host, address).is_ok(), expected, "{list:?} {host} at {address}");
        }
    }

    #[test]
    fn special_purpose_addresses_are_not_public() {
        for address in [
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "100.100.100.200",
            "127.8.8.8",
            "169.254.169.254",
            "172.16.0.1",
            "192.0.0.192",
            "192.0.2.1",
            "192.168.1.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "::127.0.0.1",
            "3fff::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in ["1.1.1.1", "100.128.0.1", "172.32.0.1", "2606:4700::1111", "64:ff9b::808:808"] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn a_malformed_rule_is_named_in_the_error() {
        for rule in ["", "host:", "host:http", "http://example.com", "a b", "10.0.0.0/99"] {
            let error = HostRules::parse(&[rule.to_owned()]).unwrap_err();
            assert_eq!(error.code, "invalid_host_rule", "{rule}");
            assert!(error.message.contains(rule), "{error}");
        }
    }
}
