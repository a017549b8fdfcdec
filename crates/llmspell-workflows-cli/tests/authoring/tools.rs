use crate::support::Sandbox;

#[test]
fn tools_are_listed_with_their_permissions() {
    let sandbox = Sandbox::new();
    let listed = sandbox.run(&["tools", "list", "-o", "json"]).ok().json();
    let tools = listed.as_array().into_iter().flatten();
    let file = tools.clone().find(|tool| tool["name"] == "file_operations");
    let file = file.unwrap_or_else(|| panic!("{listed}"));
    assert_eq!(file["security_level"], "restricted");
    assert_eq!(file["permissions"][1], "files_write");
    let text = sandbox.run(&["tools", "list"]).ok().out;
    assert_eq!(text.lines().count(), tools.count() + 1);
    assert!(text.starts_with("TOOL"));
}

#[test]
fn tools_show_accepts_names_and_aliases() {
    let sandbox = Sandbox::new();
    insta::assert_snapshot!(sandbox.run(&["tools", "show", "text-summarizer"]).ok().out);
    let shown = sandbox.run(&["tools", "show", "csv_analyzer"]).ok().out;
    let (parameters, result) = shown.split_once("\nResult\n").unwrap_or_else(|| panic!("{shown}"));
    for (fields, expected) in [
        (parameters, vec!["operation", "options", "options.format", "options.conditions[].column"]),
        (result, vec!["rows", "output", "columns[].top[].count"]),
    ] {
        let listed: Vec<_> = fields.lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert!(expected.iter().all(|name| listed.contains(name)), "{shown}");
    }
    let shown = sandbox.run(&["tools", "show", "web_search", "-o", "json"]).ok().json();
    assert_eq!(shown["name"], "web_searcher");
    assert_eq!(shown["parameters"]["required"][0], "input");
}

#[test]
fn unknown_tool_suggests_the_nearest_tool() {
    let sandbox = Sandbox::new();
    for arguments in [["tools", "show"], ["tools", "call"]] {
        let ran = sandbox.run(&[arguments.as_slice(), &["text_sumarizer", "-o", "json"]].concat());
        let error = ran.json()["error"].clone();
        assert_eq!((ran.code, error["code"].as_str()), (4, Some("unknown_tool")));
        assert_eq!(error["help"], "did you mean `text_summarizer`?");
    }
}

#[test]
fn tools_call_checks_parameters_and_returns_the_result() {
    let sandbox = Sandbox::new();
    let call = ["tools", "call", "text_summarizer", "-o", "json"];
    let ran = sandbox.run(&[call.as_slice(), &["-i", "input=One two. Three.", "-i", "max_length:=8"]].concat()).ok();
    assert_eq!(ran.json()["result"], "Three.");
    let ran = sandbox.run(&[call.as_slice(), &["-i", "text=x"]].concat());
    assert_eq!((ran.code, ran.json()["error"]["code"].as_str()), (2, Some("invalid_parameters")));
    let ran = sandbox.run(&[
        "tools",
        "call",
        "file_operations",
        "-i",
        "operation=read",
        "-i",
        "path=/etc/passwd",
        "-o",
        "json",
    ]);
    assert_eq!((ran.code, ran.json()["error"]["code"].as_str()), (1, Some("path_outside_roots")));
}
